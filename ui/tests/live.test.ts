import { describe, expect, it } from "vitest";

import type { ColumnReport } from "../src/api/types";
import { alone, broken, nearest } from "../src/charts/timeline";
import { byDrift, spanOf } from "../src/endpoints/live";
import { latency } from "../src/format";

const same = (value: number) => value;

describe("the live view of an endpoint", () => {
  it("begins a line anew behind a gap, and finds the values that no line leads to", () => {
    expect(alone([5, null, 6, 7, null, 0])).toEqual([0, 5]);
    expect(alone([null, null])).toEqual([]);
    expect(broken([0, 1, 2, 3], [5, null, 6, 7], same, same)).toBe("M0.0 5.0M2.0 6.0L3.0 7.0");
  });

  it("finds the time nearest to the pointer", () => {
    expect(nearest([10, 20, 30], 24)).toBe(1);
    expect(nearest([], 24)).toBe(0);
  });

  it("draws whole minutes, two to ten", () => {
    expect(spanOf([])).toBe(120);
    expect(spanOf([0, 170])).toBe(180);
    expect(spanOf([0, 599])).toBe(600);
    expect(spanOf([0, 900])).toBe(600);
  });

  it("puts the columns that moved most first, also those whose numbers are hidden", () => {
    const drift = (psi: number) => ({ psi, ks: null, wasserstein: null, missing_share: 0, unseen_share: null, rows: 600 });
    const columns: ColumnReport[] = [
      { name: "a", level: "stable", last_hour: drift(0.01), deployed: null },
      { name: "b", level: "stable", last_hour: drift(0.05), deployed: null },
      { name: "c", level: "major", last_hour: null, deployed: null },
    ];
    expect(byDrift(columns).map(({ name }) => name)).toEqual(["c", "b", "a"]);
  });

  it("writes latencies in the unit that fits", () => {
    expect([0.00085, 0.0012, 2, null].map((value) => latency(value))).toEqual(["850 µs", "1.2 ms", "2 s", "–"]);
  });
});
