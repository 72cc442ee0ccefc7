/** A command as one types it, and what of a run was changed for a new one. Pure. */
import type { Run } from "../api/types";

/** The words of a command line as a POSIX shell splits it, without anything that a shell would replace; null if a quote does not end. */
export function splitCommand(text: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let i = 0; i < text.length; i += 1) {
    const sign = text[i] ?? "";
    if (quote === "'") {
      if (sign === "'") quote = "";
      else word += sign;
    } else if (quote === '"') {
      const next = text[i + 1] ?? "";
      if (sign === '"') quote = "";
      else if (sign === "\\" && (next === '"' || next === "\\" || next === "$" || next === "`")) word += text[(i += 1)] ?? "";
      else word += sign;
    } else if (sign === "'" || sign === '"') {
      quote = sign;
      word ??= "";
    } else if (/\s/.test(sign)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (sign === "\\") {
      if (i + 1 >= text.length) return null;
      word = (word ?? "") + (text[(i += 1)] ?? "");
    } else {
      word = (word ?? "") + sign;
    }
  }
  if (quote) return null;
  if (word !== null) words.push(word);
  return words;
}

/** What can be changed for a new run; null or empty of the last three: as it was. */
export interface Wish {
  command: string;
  name: string;
  workers: number;
  cpus: number;
  memory_mb: number;
  gpus: number;
  priority: number;
  retries: number;
  environment: string;
  timeout_s: number | null;
}

export const wishOf = (run: Run): Wish => ({
  command: String(run.params.command ?? ""),
  name: String(run.params.name ?? ""),
  workers: run.workers,
  ...run.resources,
  priority: run.priority,
  retries: run.retries,
  environment: "",
  timeout_s: null,
});

/** What to submit: only what differs from the run, so that all else stays exactly as it was; null if the command has an open quote. */
export function changesOf(run: Run, wish: Wish): Record<string, unknown> | null {
  const before = wishOf(run);
  const changes: Record<string, unknown> = {};
  for (const name of Object.keys(before) as (keyof Wish)[]) {
    if (wish[name] === before[name]) continue;
    if (name !== "command") {
      changes[name] = wish[name];
      continue;
    }
    const words = splitCommand(wish.command);
    if (words === null) return null;
    changes.command = words;
  }
  return changes;
}
