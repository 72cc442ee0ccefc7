/** From a signature to a form and from the form to a row. Pure; the endpoint checks the row again. */
import type { Scalar, Signature, SignatureInput } from "../api/types";

export type FieldKind = "number" | "select" | "boolean" | "text";
export type FieldProblem = "form.notNumber" | "form.notInteger" | "form.needed";

export interface Field {
  name: string;
  kind: FieldKind;
  input: SignatureInput;
  /** What may be chosen, as text; the typed value is found again by `rowOf`. */
  choices: string[];
}

const MOST_CHOICES = 200;

export function fieldsOf(signature: Signature): Field[] {
  return signature.inputs.map((input) => {
    const known = input.values?.filter((value) => value !== null) ?? [];
    if (input.type === "boolean") return { name: input.name, kind: "boolean", input, choices: ["true", "false"] };
    const offers = known.length > 0 && known.length <= MOST_CHOICES;
    if (offers) return { name: input.name, kind: "select", input, choices: [...new Set(known.map(String))] };
    return { name: input.name, kind: input.type === "text" ? "text" : "number", input, choices: [] };
  });
}

/** The typed value of a field's text; undefined where it cannot be read as one. */
function valueOf({ input }: Field, text: string): Scalar | undefined {
  if (input.type === "boolean") return text === "true" ? true : text === "false" ? false : undefined;
  if (input.type === "text") return text;
  const value = Number(text.trim().replace(/\s|'/g, ""));
  if (!Number.isFinite(value)) return undefined;
  return input.type === "integer" && !Number.isInteger(value) ? undefined : value;
}

export interface FormResult {
  row: Record<string, Scalar>;
  problems: Record<string, FieldProblem>;
}

/** The row that the texts of the form mean; an empty text is a missing value. */
export function rowOf(fields: readonly Field[], texts: Readonly<Record<string, string>>): FormResult {
  const row: Record<string, Scalar> = {};
  const problems: Record<string, FieldProblem> = {};
  for (const field of fields) {
    const text = texts[field.name] ?? "";
    if (text === "") {
      row[field.name] = null;
      if (!field.input.nullable) problems[field.name] = "form.needed";
      continue;
    }
    const value = valueOf(field, text);
    if (value !== undefined) row[field.name] = value;
    else problems[field.name] = field.input.type === "integer" ? "form.notInteger" : "form.notNumber";
  }
  return { row, problems };
}

/** A form of more fields than this shows the first, and finds the others. */
export const MOST_FIELDS = 40;
/** Fields of such a form that are shown at first. */
export const FIRST_FIELDS = 16;

/** What has the text in its name, however it is written. */
export function named<T extends { name: string }>(columns: readonly T[], text: string): T[] {
  const wanted = text.trim().toLowerCase();
  return columns.filter(({ name }) => name.toLowerCase().includes(wanted));
}

/** Of those that were found: the first, or all, and always those with a problem, so that nothing wrong is out of sight. */
export function shownFields(fields: readonly Field[], found: readonly Field[], all: boolean, problems: Readonly<Record<string, FieldProblem>>): Field[] {
  const first = new Set(all ? found : found.slice(0, FIRST_FIELDS));
  return fields.filter((field) => first.has(field) || Object.hasOwn(problems, field.name));
}

/** A row of a dataset as texts of the form; columns the model does not take are left out. */
export function textsOf(fields: readonly Field[], columns: readonly string[], values: readonly Scalar[]): Record<string, string> {
  const row = new Map(columns.map((name, i) => [name, values[i] ?? null]));
  const known = fields.filter(({ name }) => row.get(name) !== null && row.get(name) !== undefined);
  return Object.fromEntries(known.map(({ name }) => [name, String(row.get(name))]));
}

/** An example row for people who call the endpoint by hand: known values where there are some, else what the type allows. */
export function exampleRow(signature: Signature, texts: Readonly<Record<string, string>> = {}): Record<string, Scalar> {
  const fields = fieldsOf(signature);
  const { row } = rowOf(fields, texts);
  const stand: Record<SignatureInput["type"], Scalar> = { number: 0.5, integer: 1, boolean: true, text: "…" };
  return Object.fromEntries(fields.map(({ name, input }) => [name, row[name] ?? input.values?.[0] ?? stand[input.type]]));
}

/** The row cut to its first columns, to show rather than to send. */
export function shortRow(row: Record<string, Scalar>, most = 2): Record<string, Scalar> {
  const entries = Object.entries(row);
  return entries.length <= most + 1 ? row : Object.fromEntries([...entries.slice(0, most), ["…", "…"]]);
}

/** A command line that sends the row. Single quotes in values are written so that a shell keeps them. */
export function curlOf(url: string, row: Record<string, Scalar>): string {
  const body = JSON.stringify([row]).replaceAll("'", "'\\''");
  return `curl ${url} \\\n  -H "Authorization: Bearer $LEPTON_TOKEN" \\\n  -H "Content-Type: application/json" \\\n  -d '${body}'`;
}
