import { expect, test } from "vitest";

import { DICTIONARIES, fill, isKey } from "../src/i18n";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";

const placeholders = (text: string) => [...new Set([...text.matchAll(/\{(\w+)[}|]/g)].map((match) => match[1]))].sort();

test("both dictionaries have the same keys", () => {
  expect(Object.keys(zh)).toEqual(Object.keys(en));
  expect(Object.keys(DICTIONARIES)).toEqual(["en", "zh"]);
});

test("no text is empty", () => {
  for (const dictionary of Object.values(DICTIONARIES)) {
    for (const [key, text] of Object.entries(dictionary)) expect(text.trim(), key).not.toBe("");
  }
});

test("a translation fills in the same values as the English text", () => {
  for (const [key, text] of Object.entries(en)) {
    if (key === "clean.badRecipe") continue; // its braces are JSON
    expect(placeholders(zh[key as keyof typeof en]), key).toEqual(placeholders(text));
  }
});

test("Chinese texts are Chinese, but for names and terms of the field", () => {
  const latin = Object.entries(zh).filter(([, text]) => !/[\u4e00-\u9fff²]/.test(text)).map(([, text]) => text);
  const allowed = ["Lepton", "scikit-learn", "XGBoost", "LightGBM", "PyTorch", "Lightning", "Keras", "JAX", "Transformers", "JSON", "CSV、TSV、Parquet、JSON Lines", "ROC AUC", "F1", "MAE", "RMSE", "MSE", "SHA-256"];
  expect(latin.filter((text) => !allowed.includes(text))).toEqual([]);
});

test("a number picks the singular or the plural", () => {
  expect(fill(en["count.rows"], { n: 1 })).toBe("1 row");
  expect(fill(en["count.rows"], { n: 12_345 })).toBe("12,345 rows");
  expect(fill(zh["count.rows"], { n: 1 }, "zh-CN")).toBe("1 行");
});

test("what has no value stays visible, and JSON in a text is left alone", () => {
  expect(fill("Delete {name}?", {})).toBe("Delete {name}?");
  expect(fill(en["clean.badRecipe"], { reason: "x" })).toBe(en["clean.badRecipe"]);
});

test("words of the server are known or not, never a crash", () => {
  expect(isKey("state.running")).toBe(true);
  expect(isKey("toString")).toBe(false);
});
