/** What runs tell of themselves, side by side. Pure. */
import type { Run, Scalar } from "../api/types";
import type { Value } from "../charts/axes";

/** What people call a run; empty if nobody did. */
export const calledOf = (run: Run): string => String(run.columns["tags.name"] ?? run.params.name ?? "");

/** What the page calls a run: what is trained or tuned after its model or study, others by their name, or after what they do. */
export function titleOf(run: Run, say: (prefix: string, word: string) => string, name = calledOf(run)): string {
  if (!name) return say("task", run.verb);
  return run.verb.startsWith("models.") ? `${say("verb", run.verb)} ${name}` : name;
}

/** Params and metrics of a run by their names in filters: those of Lepton's own runs are params too. */
export function toldOf(run: Run): Record<string, Value> {
  const told: Record<string, Value> = {};
  const keep = (name: string, value: Scalar) => {
    if (value !== null && value !== "") told[name] = typeof value === "boolean" ? String(value) : value;
  };
  for (const [name, value] of Object.entries(run.params)) if (name !== "name") keep(`params.${name}`, value);
  for (const [name, value] of Object.entries(run.columns)) if (!name.startsWith("tags.")) keep(name, value);
  return told;
}

/** Names for pictures: runs that are called the same get the end of their id behind it. */
export function distinctNames(runs: readonly { id: string; name: string }[]): string[] {
  const count = new Map<string, number>();
  for (const { name } of runs) count.set(name, (count.get(name) ?? 0) + 1);
  return runs.map(({ id, name }) => ((count.get(name) ?? 0) > 1 ? `${name} · ${id.slice(-4)}` : name));
}

export interface ToldRow {
  name: string;
  values: (Value | undefined)[];
  differs: boolean;
}

/** The order of names: params, then metrics, and what the machine did at the end. */
export function sortedNames(told: readonly Record<string, Value>[]): string[] {
  const rank = (name: string) => (name.startsWith("params.") ? 0 : name.startsWith("metrics.system/") ? 2 : 1);
  const all = [...new Set(told.flatMap((one) => Object.keys(one)))];
  return all.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }));
}

/** A line for each name, with the value of each run, and whether they differ. */
export function toldRows(told: readonly Record<string, Value>[]): ToldRow[] {
  return sortedNames(told).map((name) => {
    const values = told.map((one) => one[name]);
    return { name, values, differs: new Set(values.map((value) => (value === undefined ? "\u0000" : String(value)))).size > 1 };
  });
}

export const isMetric = (name: string): boolean => name.startsWith("metrics.");
export const isSystem = (name: string): boolean => name.startsWith("metrics.system/");
/** Without its kind. */
export const bare = (name: string): string => name.slice(name.indexOf(".") + 1);

/** The axes to begin with: settings in which runs differ, then metrics. */
export function firstAxes(rows: readonly ToldRow[], most = 7): string[] {
  const wanted = rows.filter(({ name, differs }) => differs && !isSystem(name) && name !== "params.command").map(({ name }) => name);
  const metrics = wanted.filter(isMetric).slice(0, 3);
  return [...wanted.filter((name) => !isMetric(name)).slice(0, most - metrics.length), ...metrics];
}

const PLAIN = /^[\w./-]+$/;

/** A name as it is written in a filter and in an order. */
export function fieldOf(name: string): string {
  const at = name.indexOf(".");
  return at < 0 || PLAIN.test(name.slice(at + 1)) ? name : `${name.slice(0, at)}.\`${name.slice(at + 1)}\``;
}
