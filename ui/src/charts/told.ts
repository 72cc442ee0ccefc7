/** Sentences of a report in the language of the reader. Pure. */
import type { Told } from "../api/types";
import { isKey, type Translate, type Values } from "../i18n";

/** Names one after the other, as a language has it. */
function listed(names: readonly string[], key: string, english: boolean): string {
  if (!english) return names.join("、");
  if (key.startsWith("columns")) return names.join(", then ");
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
}

/** What a report says at one place: in words of the page, or as it was written where the page has none. */
export function saidOf(told: Told | undefined, written: string, t: Translate, english: boolean): string {
  const key = `told.${told?.key}`;
  if (!told || !isKey(key)) return written;
  const { names, column, part, place, ...numbers } = told.values;
  const values: Values = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)]));
  if (Array.isArray(names)) values.listed = listed(names.map(String), told.key, english);
  const of = `told.${String(part)}`;
  if (part !== undefined) values.where = isKey(of) ? t(of, { name: String(column), n: Number(place) + 1 }) : String(column);
  return t(key, values);
}
