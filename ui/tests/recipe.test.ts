import { expect, test } from "vitest";

import { columnsOf } from "../src/datasets/peek";
import { draftsOf, moved, newStep, parseMapping, parseRecipe, parseValue, recipeOf, RecipeError, STEPS, writeMapping, writeRecipe } from "../src/datasets/recipe";
import { isKey } from "../src/i18n";
import { ordered } from "../src/models/metrics";
import { ticks } from "../src/charts/scale";

test("steps that are switched off are not sent", () => {
  const drafts = draftsOf({ steps: [{ step: "drop_duplicates", columns: null }, { step: "scale", columns: ["a"], method: "min_max" }] });
  const [first, second] = drafts;
  if (!first || !second) throw new Error("two steps");
  expect(recipeOf([{ ...first, on: false }, second])).toEqual({ steps: [{ step: "scale", columns: ["a"], method: "min_max" }] });
});

test("an option that does not apply is not sent", () => {
  const draft = newStep("fill_missing");
  expect(recipeOf([draft]).steps[0]).toEqual({ step: "fill_missing", columns: null, strategy: "median" });
  const constant = { ...draft, step: { ...draft.step, strategy: "constant", value: 0 } };
  expect(recipeOf([constant]).steps[0]).toEqual({ step: "fill_missing", columns: null, strategy: "constant", value: 0 });
});

test("every step, option and choice has a name in the dictionaries", () => {
  for (const [step, options] of Object.entries(STEPS)) {
    expect(isKey(`step.${step}`), step).toBe(true);
    for (const { name, choices } of options) {
      for (const choice of choices ?? []) expect(isKey(name === "type" ? `type.${choice}` : `choice.${choice}`), choice).toBe(true);
    }
  }
});

test("what is written can be read again", () => {
  const recipe = { steps: [{ step: "normalize_labels", columns: ["a, \"b\""], trim: true, mapping: { M: "malignant: yes" } }, { step: "drop_duplicates" }] };
  expect(parseRecipe(writeRecipe(recipe))).toEqual(recipe);
  expect(parseRecipe(writeRecipe({ steps: [] }))).toEqual({ steps: [] });
});

test.each(["{", "[1]", "3", "null", '{"steps": 3}', '{"steps": [{"columns": []}]}'])("%s is not a recipe", (text) => {
  expect(() => parseRecipe(text)).toThrow(RecipeError);
});

test("a mapping is lines, and nothing after the sign is missing", () => {
  const mapping = parseMapping("M = malignant\nB=benign\n? =\nnonsense");
  expect(mapping).toEqual({ M: "malignant", B: "benign", "?": null });
  expect(parseMapping(writeMapping(mapping))).toEqual(mapping);
});

test("a constant is a number where it reads as one", () => {
  expect([parseValue("0"), parseValue("-1.5"), parseValue("none"), parseValue(" ")]).toEqual([0, -1.5, "none", null]);
});

test("a step moves up", () => expect(moved(["a", "b", "c"], 2, 1)).toEqual(["a", "c", "b"]));

test.each([
  ['name,"first, second",age\n1,2,3', ["name", "first, second", "age"]],
  ["\ufeffa;b;c", ["a", "b", "c"]],
  ["a\tb", ["a", "b"]],
  ["a|b|c\n", ["a", "b", "c"]],
  ['{"x": 1, "y": 2}\n', ["x", "y"]],
  ["PAR1\u0000", []],
])("the first line %j offers columns", (text, names) => expect(columnsOf(text)).toEqual(names));

test("the metric people look for comes first", () => {
  expect(ordered({ log_loss: 0.1, accuracy: 0.9, roc_auc: 0.99, mystery: null }, "classification").map(([key]) => key)).toEqual(["roc_auc", "accuracy", "log_loss", "mystery"]);
});

test("axis marks are round and inside", () => {
  expect(ticks([0, 1], 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticks([-3, 17], 4)).toEqual([0, 5, 10, 15]);
  expect(ticks([2, 2], 4)).toEqual([2]);
});
