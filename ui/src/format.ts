/** Numbers, sizes and times as a person reads them. Pure; the language comes from the caller. */

const MISSING = "–";

/** A number in at most `digits` significant digits; whole numbers in full, extremes in powers of ten. */
export function number(value: number | null | undefined, language = "en", digits = 4): string {
  if (value === null || value === undefined || Number.isNaN(value)) return MISSING;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return new Intl.NumberFormat(language).format(value);
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e12) return value.toExponential(Math.max(digits - 2, 1)).replace("-", "−").replace("e+", "e");
  const decimals = size >= 1e4 ? 0 : size >= 100 ? 1 : undefined;
  return new Intl.NumberFormat(
    language,
    decimals === undefined ? { maximumSignificantDigits: digits } : { maximumFractionDigits: decimals },
  ).format(value);
}

/** A short number for an axis or a tile: 12.4K, 3.1M. */
export function compact(value: number, language = "en"): string {
  if (!Number.isFinite(value)) return MISSING;
  if (Math.abs(value) < 10_000) return number(value, language, 3);
  return new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** A share as percent; nearly all is never written as all, and nearly nothing never as nothing. */
export function percent(share: number, language = "en"): string {
  const write = (value: number) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(value);
  if (share > 0 && share < 0.0005) return `<${write(0.001)}`;
  if (share < 1 && share >= 0.9995) return `>${write(0.999)}`;
  return write(share);
}

/** A latency: 850 µs, 1.2 ms, 2 s. */
export function latency(seconds: number | null | undefined, language = "en"): string {
  if (seconds === null || seconds === undefined) return MISSING;
  if (seconds < 0.001) return `${number(seconds * 1e6, language, 3)} µs`;
  return seconds < 1 ? `${number(seconds * 1e3, language, 3)} ms` : `${number(seconds, language, 3)} s`;
}

export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let left = size;
  let unit = 0;
  while (left >= 999.5 && unit < units.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit === 0 || left >= 99.95 ? Math.round(left) : Number(left.toFixed(1))} ${units[unit]}`;
}

/** Seconds between two times, as "0.8 s", "42 s", "3 min 5 s" or "2 h 10 min". */
export function duration(from: string | null, to: string | null, now = Date.now()): string {
  if (!from) return MISSING;
  const seconds = Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "just now", "5 minutes ago", or the date once it is older than a week. */
export function ago(time: string, language = "en", now = Date.now()): string {
  const seconds = (Date.parse(time) - now) / 1000;
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const past = Math.abs(seconds);
  if (past < 10) return words.format(0, "second");
  if (past < 60) return words.format(Math.round(seconds), "second");
  if (past < 3600) return words.format(Math.round(seconds / 60), "minute");
  if (past < 86_400) return words.format(Math.round(seconds / 3600), "hour");
  if (past < 7 * 86_400) return words.format(Math.round(seconds / 86_400), "day");
  return new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(time));
}

export function moment(time: string | null, language = "en"): string {
  if (!time) return MISSING;
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(time));
}

export function clockTime(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? "" : at.toTimeString().slice(0, 8);
}

/** A value of a cell as text: missing stays visible as a dash. */
export function cell(value: unknown, language = "en"): string {
  if (value === null || value === undefined || value === "") return MISSING;
  if (typeof value === "number") return number(value, language, 6);
  return String(value);
}

/** A name that the platform accepts, from a file name: "My Data (2).csv" gives "my-data-2". */
export function nameFromFile(file: string): string {
  const stem = file.replace(/\.(gz|zst)$/i, "").replace(/\.[^.]+$/, "").toLowerCase();
  const trim = (text: string) => text.replace(/^[-._]+|[-._]+$/g, "");
  return trim(trim(stem.replace(/[^a-z0-9._]+/g, "-")).slice(0, 64)) || "data";
}
