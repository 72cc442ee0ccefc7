/** What is registered as a model: files as a zip archive, and the signature that goes with them. Pure; the server reads both with suspicion. */
import type { InputType } from "../api/types";

export const ENTRY = "model.py";
export const UPSTREAM = "openai.json";
export const GRAPH = "model.onnx";
export const SIGNATURE = "signature.json";
/** Of all files together; the server holds the same bound. */
export const MOST_BYTES = 64 * 2 ** 20;

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32 as zip archives and PNG use it. Source: PKWARE APPNOTE 6.3.10, section 4.4.7. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (CRC[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const UTF8_NAMES = 0x0800;
/** 1980-01-01: the same files give the same bytes. */
const DATE = 0x21;

/** Whole numbers one after the other, little end first; each is given with how many bytes it has. */
function record(fields: readonly (readonly [value: number, bytes: 2 | 4])[]): Uint8Array {
  const made = new DataView(new ArrayBuffer(fields.reduce((sum, [, bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 2) made.setUint16(at, value, true);
    else made.setUint32(at, value, true);
    at += bytes;
  }
  return new Uint8Array(made.buffer);
}

/** A zip archive of the files, not compressed, in the order of their names. Source: PKWARE APPNOTE 6.3.10, section 4.3. */
export function pack(files: Readonly<Record<string, Uint8Array>>): Blob {
  const entries: Uint8Array[] = [];
  const list: Uint8Array[] = [];
  const length = (parts: readonly Uint8Array[]) => parts.reduce((sum, part) => sum + part.length, 0);
  let at = 0;
  for (const [name, data] of Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const written = new TextEncoder().encode(name);
    const shared = [[20, 2], [UTF8_NAMES, 2], [0, 2], [0, 2], [DATE, 2], [crc32(data), 4], [data.length, 4], [data.length, 4], [written.length, 2], [0, 2]] as const;
    const entry = [record([[0x04034b50, 4], ...shared]), written, data];
    list.push(record([[0x02014b50, 4], [20, 2], ...shared, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), written);
    entries.push(...entry);
    at += length(entry);
  }
  const count = Object.keys(files).length;
  const end = record([[0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [length(list), 4], [at, 4], [0, 2]]);
  return new Blob([...entries, ...list, end] as Uint8Array<ArrayBuffer>[]);
}

export type Kind = "zip" | "code" | "graph" | "upstream";

const ends = (name: string, ending: string) => name.toLowerCase().endsWith(ending);

/** What files are, by their names. */
export function kindOf(names: readonly string[]): Kind {
  if (names.length === 1 && ends(names[0] ?? "", ".zip")) return "zip";
  if (names.some((name) => ends(name, ".onnx"))) return "graph";
  return names.includes(UPSTREAM) ? "upstream" : "code";
}

/** How each file is called in the archive: a single Python file is the one with the class, a single graph the graph. */
export function namesInside(names: readonly string[]): string[] {
  const single = (ending: string) => names.filter((name) => ends(name, ending)).length === 1;
  return names.map((name) => {
    if (ends(name, ".py") && single(".py")) return ENTRY;
    return ends(name, ".onnx") && single(".onnx") ? GRAPH : name;
  });
}

export interface Declared {
  task: "classification" | "regression";
  target: string;
  /** One a line: `age: integer`, or `age`, which is a number. */
  columns: string;
  classes: string[];
}

export const UNDECLARED: Declared = { task: "classification", target: "", columns: "", classes: [] };

interface WrittenInput {
  name: string;
  type: InputType | string;
}

/** The columns of a text with one a line. A type that does not exist is left for the server to name. */
export function inputsOf(columns: string): WrittenInput[] {
  const lines = columns.split("\n").map((line) => line.trim()).filter(Boolean);
  return lines.map((line) => {
    const at = line.lastIndexOf(":");
    return at < 0 ? { name: line, type: "number" } : { name: line.slice(0, at).trim(), type: line.slice(at + 1).trim() };
  });
}

/** Classes as they would stand in JSON: all of them whole numbers, true and false, or texts. */
export function classesOf(classes: readonly string[]): (string | number | boolean)[] {
  if (classes.every((one) => /^-?\d{1,15}$/.test(one))) return classes.map(Number);
  if (classes.every((one) => one === "true" || one === "false")) return classes.map((one) => one === "true");
  return [...classes];
}

/** The signature that a form means, as the server reads it. */
export function signatureOf({ task, target, columns, classes }: Declared): object {
  const shared = { task, target: target.trim(), inputs: inputsOf(columns) };
  return task === "classification" ? { ...shared, classes: classesOf(classes) } : shared;
}

export const asJson = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
