/** The column names in the first line of a chosen file, read in the browser to offer them; the server reads the file itself. */

const FIRST_BYTES = 64 * 1024;
const MOST = 500;
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
  return [...new Set(fieldsOf(line, separator).filter((name) => name !== ""))].slice(0, MOST);
}

/** The fields of a line; separators inside quotes do not divide, and a doubled quote is one quote. */
function fieldsOf(line: string, separator: string): string[] {
  const fields = [""];
  let quoted = false;
  for (let i = 0; i < line.length; i += 1) {
    const letter = line[i] ?? "";
    if (letter === '"' && quoted && line[i + 1] === '"') {
      fields.push(`${fields.pop()}"`);
      i += 1;
    } else if (letter === '"') quoted = !quoted;
    else if (letter === separator && !quoted) fields.push("");
    else fields.push(`${fields.pop()}${letter}`);
  }
  return fields.map((field) => field.trim());
}

export async function peek(file: File): Promise<string[]> {
  return columnsOf(await file.slice(0, FIRST_BYTES).text());
}
