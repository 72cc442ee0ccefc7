/** Parallel coordinates: an axis for each setting and metric, a line for each run. Pure. */
import { extent, linear, logarithmic } from "./scale";

export type Value = number | string | null;

export interface AxisOf {
  name: string;
  kind: "number" | "text";
  /** Whether numbers lie by their powers of ten. */
  log: boolean;
  /** Of numbers. */
  domain: [number, number];
  /** Of texts, from the top down. */
  words: string[];
}

/** Brushed parts of axes by name: shares of the height, 0 at the bottom. */
export type Brushes = Readonly<Record<string, readonly [number, number]>>;

const LOG_FROM = 100;

/** The number that a value is or reads as; null if it is none. */
export function numberOf(value: Value | undefined): number | null {
  if (value === null || value === undefined || value === "") return null;
  const read = typeof value === "number" ? value : Number(value);
  return Number.isFinite(read) ? read : null;
}

/** An axis for values: of numbers if all that are there read as one, otherwise of words in their order. */
export function axisOf(name: string, values: readonly Value[]): AxisOf {
  const there = values.filter((value) => value !== null && value !== "");
  const numbers = there.map(numberOf);
  if (there.length > 0 && numbers.every((value) => value !== null)) {
    const domain = extent(numbers.filter((value) => value !== null));
    return { name, kind: "number", log: domain[0] > 0 && domain[1] / domain[0] >= LOG_FROM, domain, words: [] };
  }
  const words = [...new Set(there.map(String))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return { name, kind: "text", log: false, domain: [0, 1], words };
}

/** How high a value lies on its axis, 0 to 1; null if the run lacks it. */
export function shareOf(axis: AxisOf, value: Value | undefined): number | null {
  if (axis.kind === "text") {
    const at = value === null || value === undefined ? -1 : axis.words.indexOf(String(value));
    return at < 0 ? null : axis.words.length === 1 ? 0.5 : 1 - at / (axis.words.length - 1);
  }
  const number = numberOf(value);
  if (number === null) return null;
  const [low, high] = axis.domain;
  return low === high ? 0.5 : (axis.log ? logarithmic : linear)(axis.domain, [0, 1])(number);
}

/** The value at a height of an axis of numbers. */
export function valueAt(axis: AxisOf, share: number): number {
  const [low, high] = axis.domain;
  return axis.log ? 10 ** linear([0, 1], [Math.log10(low), Math.log10(high)])(share) : linear([0, 1], axis.domain)(share);
}

/** A brush with another one beside it or without it; what is hardly higher than nothing takes the brush away. */
export function brushed(brushes: Brushes, name: string, range: readonly [number, number] | null): Brushes {
  const { [name]: _gone, ...others } = brushes;
  if (!range) return others;
  const [low, high] = [Math.max(Math.min(...range), 0), Math.min(Math.max(...range), 1)];
  return high - low < 0.015 ? others : { ...others, [name]: [low, high] };
}

/** Whether a run lies inside all brushes; one that lacks a value does not. */
export function isInside(axes: readonly AxisOf[], brushes: Brushes, values: Readonly<Record<string, Value>>): boolean {
  return axes.every((axis) => {
    const brush = brushes[axis.name];
    if (!brush) return true;
    const share = shareOf(axis, values[axis.name]);
    return share !== null && share >= brush[0] - 1e-9 && share <= brush[1] + 1e-9;
  });
}

/** The path of a run along the axes, with a gap where it lacks a value. */
export function trace(axes: readonly AxisOf[], values: Readonly<Record<string, Value>>, x: (place: number) => number, y: (share: number) => number): string {
  let pen = "M";
  return axes
    .map((axis, i) => {
      const share = shareOf(axis, values[axis.name]);
      if (share === null) {
        pen = "M";
        return "";
      }
      const text = `${pen}${x(i).toFixed(1)} ${y(share).toFixed(1)}`;
      pen = "L";
      return text;
    })
    .join("");
}
