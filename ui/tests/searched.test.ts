import { describe, expect, it } from "vitest";

import type { Dimension, Trial } from "../src/api/types";
import { bestSoFar, endedOf, firstTwo, goodness, near, placeOf } from "../src/charts/searched";

const range = (more: Partial<Dimension>): Dimension => ({ name: "x", kind: "number", low: 0, high: 10, log: false, step: null, choices: [], ...more });

describe("what is drawn of a study", () => {
  it("keeps the best up to each trial, in the direction that is wanted", () => {
    expect(bestSoFar([3, 5, 2, 4], false)).toEqual([3, 3, 2, 2]);
    expect(bestSoFar([3, 5, 2, 9], true)).toEqual([3, 5, 5, 9]);
  });

  it("places values on ranges, log ranges and choices", () => {
    expect(placeOf(range({}), 5)).toBe(0.5);
    expect(placeOf(range({ low: 0.01, high: 100, log: true }), 1)).toBeCloseTo(0.5, 12);
    expect(placeOf(range({ kind: "choice", choices: ["a", 2, true] }), 2)).toBe(0.5);
    expect(placeOf(range({ kind: "choice", choices: ["a", "b"] }), "c")).toBeNull();
    expect(placeOf(range({}), undefined)).toBeNull();
  });

  it("calls the best 1 and the worst 0, and does not divide by nothing", () => {
    expect([1, 2, 3].map(goodness([1, 2, 3], false))).toEqual([1, 0.5, 0]);
    expect([1, 3].map(goodness([1, 3], true))).toEqual([0, 1]);
    expect(goodness([2, 2], true)(2)).toBe(0.5);
  });

  it("takes the value of a trial where it is, and something between others elsewhere", () => {
    const placed = [{ x: 0, y: 0, value: 1 }, { x: 1, y: 1, value: 3 }];
    expect(near(0, 0, placed)).toBeCloseTo(1, 3);
    expect(near(0.5, 0.5, placed)).toBeCloseTo(2, 9);
  });

  it("chooses the two settings that matter most, or none if there is one", () => {
    const space = ["a", "b", "c"].map((name) => range({ name }));
    expect(firstTwo(space, { c: 0.7, a: 0.2, b: 0.1 })).toEqual(["c", "a"]);
    expect(firstTwo(space.slice(0, 1), {})).toBeNull();
  });

  it("leaves out trials that reached nothing", () => {
    const trial = (number: number, value: number | null): Trial => ({ number, state: "complete", value, params: {}, started_at: null, ended_at: null, steps: [], run_id: "", error: "" });
    expect(endedOf([trial(0, 1), trial(1, null), trial(2, 0)]).map(({ number }) => number)).toEqual([0, 2]);
  });
});
