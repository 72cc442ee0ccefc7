import { describe, expect, test } from "vitest";

import { placeOf } from "../src/shell/foreign";

describe("what MLflow's client prints leads to the run", () => {
  const run = "01M8DE145MF355A1TZ2TKJEB75";
  test.each([
    [`#/experiments/0/runs/${run}`, `/runs/${run}`],
    ["#/experiments/01M8DE137YFR8B1ADK5TAJ3P1V", "/runs"],
    ["", undefined],
    ["#/experiments/0/runs/../../audit", undefined],
    ["#anything", undefined],
  ])("%s", (fragment, place) => expect(placeOf(fragment)).toBe(place));
});
