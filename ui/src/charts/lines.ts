/** What the picture of several curves is made of: places, extents, the point under the pointer. Pure. */
import { extent } from "./scale";

/** A curve; `xs` rise. Null where nothing was measured. */
export interface Line {
  id: string;
  name: string;
  tone: string;
  dash: string;
  xs: number[];
  ys: (number | null)[];
  /** The smoothed values, or none. */
  smooth: (number | null)[] | null;
}

export type Range = [number, number];

/** The first place whose value is not below the wanted one. */
export function lowerBound(sorted: readonly number[], wanted: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The place nearest to a value; -1 of nothing. */
export function nearestPlace(sorted: readonly number[], wanted: number): number {
  const at = lowerBound(sorted, wanted);
  if (at === 0 || at === sorted.length) return Math.min(at, sorted.length - 1);
  return wanted - (sorted[at - 1] ?? 0) <= (sorted[at] ?? 0) - wanted ? at - 1 : at;
}

/** From where to where all lines go. */
export function wholeRange(lines: readonly Line[]): Range {
  return extent(lines.flatMap(({ xs }) => (xs.length ? [xs[0] ?? 0, xs.at(-1) ?? 0] : [])));
}

/** The lowest and highest value seen between two places, with a little air; of a logarithmic axis, what is not above zero does not count. */
export function heights(lines: readonly Line[], [from, to]: Range, log: boolean): Range {
  const seen: number[] = [];
  for (const { xs, ys } of lines) {
    for (let i = lowerBound(xs, from); i < xs.length && (xs[i] ?? 0) <= to; i += 1) {
      const y = ys[i];
      if (y !== null && y !== undefined && (!log || y > 0)) seen.push(y);
    }
  }
  const [low, high] = extent(seen);
  if (log) return seen.length === 0 ? [0.1, 1] : low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - room, high + room];
}

export type Place = (value: number) => number;

/** A path through values, begun anew behind what is missing or, with `log`, not above zero; only the part that is seen and its neighbors. */
export function pathOf(xs: readonly number[], ys: readonly (number | null)[], [from, to]: Range, x: Place, y: Place, log: boolean): string {
  const begin = Math.max(lowerBound(xs, from) - 1, 0);
  let text = "";
  let pen = "M";
  for (let i = begin; i < xs.length; i += 1) {
    const value = ys[i] ?? null;
    if (value === null || (log && value <= 0)) {
      pen = "M";
    } else {
      text += `${pen}${x(xs[i] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    }
    if ((xs[i] ?? 0) > to) break;
  }
  return text;
}

export interface Reading {
  line: Line;
  x: number;
  /** As measured. */
  value: number;
  /** As drawn on top: smoothed if it is. */
  shown: number;
}

/** What each line has at the place nearest to x, the highest first; a line that does not come near has nothing. */
export function readings(lines: readonly Line[], x: number, [from, to]: Range): Reading[] {
  const found = lines.flatMap((line): Reading[] => {
    const at = nearestPlace(line.xs, x);
    const [place, value] = [line.xs[at], line.ys[at]];
    if (place === undefined || value === null || value === undefined || place < from || place > to) return [];
    const ends = [line.xs[0] ?? 0, line.xs.at(-1) ?? 0];
    const slack = (to - from) / 50;
    if (x < (ends[0] ?? 0) - slack || x > (ends[1] ?? 0) + slack) return [];
    return [{ line, x: place, value, shown: line.smooth?.[at] ?? value }];
  });
  return found.sort((a, b) => b.shown - a.shown);
}

export type Axis = "step" | "relative" | "time";

export interface Measured {
  step: number;
  time: string;
  value: number | null;
}

/** Where points lie on an axis: at their step, or at seconds since 1970 or since the curve began; in rising order. */
export function placed(points: readonly Measured[], axis: Axis, began: number): { xs: number[]; ys: (number | null)[] } {
  const at = (point: Measured) => (axis === "step" ? point.step : Date.parse(point.time) / 1000 - (axis === "relative" ? began : 0));
  const all = points.map((point) => ({ x: at(point), y: point.value })).sort((a, b) => a.x - b.x);
  return { xs: all.map(({ x }) => x), ys: all.map(({ y }) => y) };
}
