import { expect, test } from "vitest";

import type { Signature } from "../src/api/types";
import { curlOf, exampleRow, fieldsOf, FIRST_FIELDS, named, rowOf, shortRow, shownFields, textsOf } from "../src/endpoints/form";

const signature: Signature = {
  task: "classification",
  target: "buys",
  inputs: [
    { name: "age", type: "integer", nullable: true, values: null },
    { name: "income", type: "number", nullable: false, values: null },
    { name: "sex", type: "text", nullable: true, values: ["female", "male"] },
    { name: "member", type: "boolean", nullable: true, values: null },
    { name: "note", type: "text", nullable: true, values: null },
  ],
  classes: ["no", "yes"],
};
const fields = fieldsOf(signature);

test("each input becomes the field that fits it", () => {
  expect(fields.map(({ kind }) => kind)).toEqual(["number", "number", "select", "boolean", "text"]);
  expect(fields[2]?.choices).toEqual(["female", "male"]);
});

test("texts become values of the right type, and an empty text is missing", () => {
  const { row, problems } = rowOf(fields, { age: "41", income: " 1 250.5 ", sex: "male", member: "false" });
  expect(problems).toEqual({});
  expect(row).toEqual({ age: 41, income: 1250.5, sex: "male", member: false, note: null });
});

test("what cannot be read is named and not sent", () => {
  const { row, problems } = rowOf(fields, { age: "41.5", income: "much" });
  expect(problems).toEqual({ age: "form.notInteger", income: "form.notNumber" });
  expect(row).not.toHaveProperty("age");
});

test("a field that must not be missing says so", () => {
  expect(rowOf(fields, { age: "3" }).problems).toEqual({ income: "form.needed" });
});

test("infinity and NaN are not numbers of a form", () => {
  expect(rowOf(fields, { income: "Infinity" }).problems).toEqual({ income: "form.notNumber" });
  expect(rowOf(fields, { income: "NaN" }).problems).toEqual({ income: "form.notNumber" });
});

test("a row of a dataset fills the form, without the columns the model does not take", () => {
  expect(textsOf(fields, ["buys", "age", "sex", "member"], ["yes", 41, null, true])).toEqual({ age: "41", member: "true" });
});

test("the example command can be pasted into a shell", () => {
  const row = { ...exampleRow(signature, { age: "41" }), note: "it's" };
  expect(row).toMatchObject({ age: 41, income: 0.5, sex: "female", member: true });
  const command = curlOf("http://127.0.0.1:1/predict/buys", row);
  expect(command).toContain("it'\\''s");
  expect(command).toContain("Authorization: Bearer $LEPTON_TOKEN");
  expect(Object.keys(shortRow(row))).toEqual(["age", "income", "…"]);
});

test("of a wide model the first fields are shown, what is searched for, and what is wrong", () => {
  const many = fieldsOf({ ...signature, inputs: Array.from({ length: 1000 }, (_, i) => ({ name: `Pixel ${i}`, type: "number", nullable: false, values: null })) });
  const names = (search: string, all: boolean, problems = {}) => shownFields(many, named(many, search), all, problems).map(({ name }) => name);
  expect(names("", false)).toHaveLength(FIRST_FIELDS);
  expect(names("", true)).toHaveLength(1000);
  expect(names(" PIXEL 999 ", false)).toEqual(["Pixel 999"]);
  expect(names("pixel 99", false)).toContain("Pixel 999");
  expect(names("pixel 7", false, { "Pixel 500": "form.needed" })).toContain("Pixel 500");
  expect(names("nothing", true)).toEqual([]);
});
