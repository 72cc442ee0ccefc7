/** How metrics are named, ordered and written. */
import type { Metrics, ModelTask } from "../api/types";
import { compact, number, percent } from "../format";

const FIRST: Record<ModelTask, readonly string[]> = {
  classification: ["roc_auc", "accuracy", "f1", "precision", "recall", "log_loss"],
  regression: ["r2", "rmse", "mae", "share_within_10pct"],
  generation: [],
  files: [],
};

const SHARES = /^(accuracy|precision|recall|share_within.*)$/;

const HELD_OUT = "test_";

/** Whether a run measured this on the rows it held out. */
export function isHeldOut(key: string): boolean {
  return key.startsWith(HELD_OUT);
}

const plain = (key: string) => (isHeldOut(key) ? key.slice(HELD_OUT.length) : key);

export function metricName(key: string, say: (prefix: string, word: string) => string): string {
  return say("metric", plain(key));
}

const MOST_IN_FULL = 1e7; // a squared error in full would fill its tile twice

/** Shares as percent, everything else as a number. */
export function metricText(key: string, value: number | null, language: string): string {
  if (value === null) return number(value, language);
  if (SHARES.test(plain(key))) return percent(value, language);
  return Math.abs(value) >= MOST_IN_FULL ? compact(value, language) : number(value, language);
}

/** Metrics with the ones people look for first in front. */
export function ordered(metrics: Metrics, task: ModelTask): [string, number | null][] {
  const rank = (key: string) => {
    const at = FIRST[task].indexOf(key);
    return at < 0 ? FIRST[task].length : at;
  };
  return Object.entries(metrics).sort(([a], [b]) => rank(a) - rank(b));
}

/** The one metric to show where there is room for one. */
export function headline(metrics: Metrics, task: ModelTask): [string, number | null] | null {
  return ordered(metrics, task)[0] ?? null;
}
