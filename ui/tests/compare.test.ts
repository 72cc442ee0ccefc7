import { expect, test } from "vitest";

import { axisOf, brushed, isInside, shareOf, trace, valueAt } from "../src/charts/axes";
import { heights, type Line, nearestPlace, pathOf, placed, readings, wholeRange } from "../src/charts/lines";
import { logTicks, timeTicks } from "../src/charts/scale";
import { smooth } from "../src/charts/smoothing";

const line = (id: string, xs: number[], ys: (number | null)[]): Line => ({ id, name: id, tone: "", dash: "", xs, ys, smooth: null });
const even = [0, 1, 2, 3, 4];

test("a constant stays what it is, from its first point on", () => {
  expect(smooth(even, [3, 3, 3, 3, 3], 0.9).map((y) => Number(y?.toFixed(9)))).toEqual([3, 3, 3, 3, 3]);
});

test("the average is that of Adam: without the pull of its beginning", () => {
  const found = smooth([0, 1, 2], [1, 2, 3], 0.5);
  const wanted = [0.5 / 0.5, (0.25 + 1) / 0.75, (0.125 + 0.5 + 1.5) / 0.875];
  found.forEach((y, i) => expect(y).toBeCloseTo(wanted[i] ?? 0, 12));
});

test("without weight nothing is smoothed, and what is missing stays missing", () => {
  expect(smooth(even, [1, 5, 1, 5, 1], 0)).toEqual([1, 5, 1, 5, 1]);
  expect(smooth(even, [1, null, 1, 1, 1], 0.6)[1]).toBeNull();
});

test("a curve of which every second point was left out is smoothed alike", () => {
  const xs = Array.from({ length: 401 }, (_, i) => i);
  const wave = (x: number) => Math.sin(x / 40);
  const whole = smooth(xs, xs.map(wave), 0.9);
  const half = xs.filter((x) => x % 2 === 0);
  // Kept between two points of the half is what is kept between three of the whole.
  const thinned = smooth(half, half.map(wave), 0.9 ** 2);
  half.forEach((x, i) => expect(Math.abs((whole[x] ?? 0) - (thinned[i] ?? 0))).toBeLessThan(0.03));
});

test("after a long gap little is kept", () => {
  const found = smooth([0, 1, 2, 1000], [0, 0, 0, 1], 0.9);
  expect(found[3]).toBeCloseTo(1 - (0.9 ** (998 / (1000 / 3)) * (1 - 0.9 ** (1 + 2 / (1000 / 3)))) / (1 - 0.9 ** (1 + 1000 / (1000 / 3))), 9);
});

test("the nearest place is found at both ends and between", () => {
  expect([-5, 0.4, 0.6, 99].map((x) => nearestPlace([0, 1, 2], x))).toEqual([0, 0, 1, 2]);
  expect(nearestPlace([], 1)).toBe(-1);
});

test("heights are of what is seen, and of a logarithmic axis above zero", () => {
  const lines = [line("a", even, [1, 2, 3, 4, 500]), line("b", even, [null, -7, 2, 2, 2])];
  expect(heights(lines, [2, 3], false)).toEqual([2 - 0.1, 4 + 0.1]);
  const [low, high] = heights(lines, [0, 4], true);
  expect(low).toBeGreaterThan(0);
  expect(low).toBeLessThan(1);
  expect(high).toBeGreaterThan(500);
  expect(heights([], [0, 1], true)).toEqual([0.1, 1]);
  expect(wholeRange(lines)).toEqual([0, 4]);
});

test("a path has gaps, and no more than one point outside of what is seen", () => {
  const same = (value: number) => value;
  expect(pathOf(even, [1, null, 3, 4, 5], [0, 4], same, same, false)).toBe("M0.0 1.0M2.0 3.0L3.0 4.0L4.0 5.0");
  expect(pathOf([0, 1, 2, 3, 4, 5], [9, 1, 1, 1, 9, 9], [2, 3], same, same, false)).toBe("M1.0 1.0L2.0 1.0L3.0 1.0L4.0 9.0");
  expect(pathOf(even, [1, 0, -1, 2, 2], [0, 4], same, same, true)).toBe("M0.0 1.0M3.0 2.0L4.0 2.0");
});

test("under the pointer are all lines that come near, the highest first", () => {
  const lines = [line("a", even, [1, 1, 1, 1, 1]), line("b", [0, 2, 4], [5, 6, 7]), line("short", [0, 1], [9, 9])];
  expect(readings(lines, 2.2, [0, 4]).map(({ line: { id }, x, value }) => [id, x, value])).toEqual([["b", 2, 6], ["a", 2, 1]]);
});

test("points are placed by step, by time or since the start, in rising order", () => {
  const points = [{ step: 2, time: "2026-01-01T00:00:10Z", value: 2 }, { step: 1, time: "2026-01-01T00:00:05Z", value: 1 }];
  const began = Date.parse("2026-01-01T00:00:00Z") / 1000;
  expect(placed(points, "step", began)).toEqual({ xs: [1, 2], ys: [1, 2] });
  expect(placed(points, "relative", began).xs).toEqual([5, 10]);
  expect(placed(points, "time", began).xs).toEqual([began + 5, began + 10]);
});

test("ticks of powers of ten and of times are round", () => {
  expect(logTicks([0.001, 1000], 8)).toEqual([0.001, 0.01, 0.1, 1, 10, 100, 1000]);
  expect(logTicks([2, 30], 8)).toEqual([2, 5, 10, 20]);
  expect(timeTicks([0, 3600], 5)).toEqual([0, 900, 1800, 2700, 3600]);
  expect(timeTicks([10, 200], 4, 3600)).toEqual([60, 120, 180].filter((x) => x % 60 === 0));
});

test("an axis is of numbers if all that is there reads as one", () => {
  expect(axisOf("lr", ["0.1", "0.02", null])).toMatchObject({ kind: "number", log: false, domain: [0.02, 0.1] });
  expect(axisOf("lr", ["0.0001", 1])).toMatchObject({ kind: "number", log: true });
  expect(axisOf("model", ["tree", "mlp", "mlp"])).toMatchObject({ kind: "text", words: ["mlp", "tree"] });
  expect(axisOf("none", [null])).toMatchObject({ kind: "text", words: [] });
});

test("heights on an axis and back", () => {
  const axis = axisOf("lr", [0.001, 1]);
  expect(shareOf(axis, 0.001)).toBeCloseTo(0);
  expect(shareOf(axis, "1")).toBeCloseTo(1);
  expect(valueAt(axis, shareOf(axis, 0.03) ?? 0)).toBeCloseTo(0.03);
  const words = axisOf("model", ["a", "b", "c"]);
  expect(["a", "b", "c", "d", null].map((word) => shareOf(words, word))).toEqual([1, 0.5, 0, null, null]);
  expect(shareOf(axisOf("one", [7, 7]), 7)).toBe(0.5);
});

test("a brush keeps what lies in it, and one without height is none", () => {
  const axes = [axisOf("lr", [0, 10]), axisOf("model", ["a", "b"])];
  const brushes = brushed({}, "lr", [0.9, 0.2]);
  expect(brushes).toEqual({ lr: [0.2, 0.9] });
  expect(isInside(axes, brushes, { lr: 5, model: "a" })).toBe(true);
  expect(isInside(axes, brushes, { lr: 1 })).toBe(false);
  expect(isInside(axes, brushes, { model: "a" })).toBe(false);
  expect(isInside(axes, brushed(brushes, "model", [0, 0.4]), { lr: 5, model: "a" })).toBe(false);
  expect(brushed(brushes, "lr", [0.5, 0.505])).toEqual({});
  expect(brushed(brushes, "lr", null)).toEqual({});
});

test("a trace has a gap where a run lacks a value", () => {
  const axes = ["a", "b", "c"].map((name) => axisOf(name, [0, 1]));
  expect(trace(axes, { a: 0, b: 1, c: 0 }, (i) => i, (share) => share)).toBe("M0.0 0.0L1.0 1.0L2.0 0.0");
  expect(trace(axes, { a: 0, c: 1 }, (i) => i, (share) => share)).toBe("M0.0 0.0M2.0 1.0");
});
