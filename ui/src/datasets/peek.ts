/** The column names in the first line of a chosen file, read in the browser to offer them; the server reads the file itself. */

const FIRST_BYTES = 64 * 1024;
const SEPARATORS = [",", ";", "\t", "|"];

/** Split the first line by the separator that divides it most. */
export function columnsOf(text: string): string[] {
  const line = text.replace(/^\ufeff/, "").split(/\r?\n/, 1)[0] ?? "";
  if (line.startsWith("{")) {
    try {
      return Object.keys(JSON.parse(line) as object);
    } catch {
      return [];
    }
  }
  if (line.startsWith("PAR1") || line.includes("\u0000")) return [];
  const separator = SEPARATORS.reduce((best, one) => (line.split(one).length > line.split(best).length ? one : best));
  const fields = line.match(new RegExp(`("(?:[^"]|"")*"|[^${separator === "|" ? "\\|" : separator}]*)(${separator === "|" ? "\\|" : separator}|$)`, "g")) ?? [];
  const names = fields
    .map((field) => field.replace(separator, "").trim().replace(/^"|"$/g, "").replaceAll('""', '"'))
    .filter((name) => name !== "");
  return [...new Set(names)].slice(0, 500);
}

export async function peek(file: File): Promise<string[]> {
  return columnsOf(await file.slice(0, FIRST_BYTES).text());
}
