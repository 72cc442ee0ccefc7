/** Which lines of a log are shown, and what in them was looked for. Pure. */
import type { LogLine } from "../api/types";

/** The lines of one worker, or of all (null), in which a text is; capitals count as small letters. What the engine says (-1) belongs to all. */
export function linesShown(lines: LogLine[], rank: number | null, wanted: string): LogLine[] {
  const text = wanted.trim().toLowerCase();
  if (rank === null && text === "") return lines;
  return lines.filter((line) => (rank === null || line.rank === rank) && (text === "" || line.text.toLowerCase().includes(text)));
}

/** A line cut where the wanted text begins and ends: every second piece is one that was looked for. */
export function cutAt(line: string, wanted: string): string[] {
  const text = wanted.trim().toLowerCase();
  if (text === "") return [line];
  const lower = line.toLowerCase();
  // Of a few letters the small one is longer; then nothing is marked rather than the wrong place.
  if (lower.length !== line.length) return [line];
  const pieces: string[] = [];
  let from = 0;
  for (let at = lower.indexOf(text); at >= 0; at = lower.indexOf(text, from)) {
    pieces.push(line.slice(from, at), line.slice(at, at + text.length));
    from = at + text.length;
  }
  return [...pieces, line.slice(from)];
}
