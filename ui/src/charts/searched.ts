/** What is drawn of a study: the best so far, where trials lie on a setting, and the plane between them. Pure. */
import type { Dimension, Scalar, Trial } from "../api/types";
import { linear, logarithmic } from "./scale";

export type Ended = Trial & { value: number };

/** The trials that reached something, in their order. */
export const endedOf = (trials: readonly Trial[]): Ended[] => trials.filter((trial): trial is Ended => trial.value !== null);

/** The best value up to each trial. */
export function bestSoFar(values: readonly number[], maximize: boolean): number[] {
  let best = maximize ? -Infinity : Infinity;
  return values.map((value) => (best = maximize ? Math.max(best, value) : Math.min(best, value)));
}

/** Where a value lies on a setting, 0 to 1; null if it does not. */
export function placeOf({ kind, low, high, log, choices }: Dimension, value: Scalar | undefined): number | null {
  if (kind === "choice") {
    const at = choices.findIndex((choice) => choice === value);
    return at < 0 ? null : choices.length === 1 ? 0.5 : at / (choices.length - 1);
  }
  if (typeof value !== "number" || low === null || high === null) return null;
  if (low === high) return 0.5;
  return (log && low > 0 ? logarithmic : linear)([low, high], [0, 1])(value);
}

/** How good a value is among others: 0 for the worst, 1 for the best. */
export function goodness(values: readonly number[], maximize: boolean): (value: number) => number {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return (value) => (high === low ? 0.5 : maximize ? (value - low) / (high - low) : (high - value) / (high - low));
}

export interface Placed {
  x: number;
  y: number;
  value: number;
}

/** The mean of all values, weighted by the inverse square of their distance (Shepard, 1968). */
export function near(x: number, y: number, placed: readonly Placed[]): number {
  let [sum, weights] = [0, 0];
  for (const one of placed) {
    const weight = 1 / ((x - one.x) ** 2 + (y - one.y) ** 2 + 1e-4);
    sum += weight * one.value;
    weights += weight;
  }
  return sum / weights;
}

/** The two settings that matter most. */
export function firstTwo(space: readonly Dimension[], importance: Readonly<Record<string, number>>): [string, string] | null {
  const ranked = [...space].sort((a, b) => (importance[b.name] ?? 0) - (importance[a.name] ?? 0));
  return ranked[0] && ranked[1] ? [ranked[0].name, ranked[1].name] : null;
}
