/** Which rows of a long table are drawn, which pages of it are asked for, and how it is sorted. Pure. */

export interface Seen {
  /** Rows from `first` to before `end`. */
  first: number;
  end: number;
}

const AROUND = 10;

/** The rows that are in sight, and some around them. */
export function rowsInSight(scrolled: number, height: number, rowHeight: number, count: number): Seen {
  const first = Math.max(Math.floor(scrolled / rowHeight) - AROUND, 0);
  const end = Math.min(Math.ceil((scrolled + height) / rowHeight) + AROUND, count);
  return { first: Math.min(first, Math.max(end - 1, 0)), end };
}

/** The pages in which these rows are; always the first one, by which errors and emptiness are known. */
export function pagesOf({ first, end }: Seen, size: number): number[] {
  const from = Math.floor(first / size);
  const to = Math.floor(Math.max(end - 1, 0) / size);
  const pages = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return pages.includes(0) ? pages : [0, ...pages];
}

/** How many rows there are at least, from what is known of pages; a full last page has another one behind it, of which one row is shown. */
export function countOf(lengths: ReadonlyMap<number, number>, size: number): { rows: number; more: boolean } {
  let rows = 0;
  let more = false;
  for (const [page, length] of [...lengths].sort(([a], [b]) => a - b)) {
    if (length === 0 && page > 0) continue;
    rows = page * size + length;
    more = length === size && lengths.get(page + 1) !== 0;
  }
  return { rows, more };
}

export interface Order {
  field: string;
  descending: boolean;
}

/** Reads "metrics.loss desc"; empty is the newest first. */
export function readOrder(text: string): Order {
  const found = /^(.*?)(?:\s+(asc|desc))?$/i.exec(text.trim());
  const field = found?.[1] ?? "";
  return field ? { field, descending: found?.[2]?.toLowerCase() === "desc" } : { field: "created_at", descending: true };
}

/** The order after a click on the head of a column: down first, then up, then as it was at the beginning. */
export function nextOrder(now: Order, field: string): string {
  const newest = field === "created_at";
  if (now.field !== field) return `${field} desc`;
  if (now.descending) return newest ? "created_at asc" : `${field} asc`;
  return "";
}
