import { expect, test } from "vitest";

import { saidOf } from "../src/charts/told";
import { fill, type Translate } from "../src/i18n";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";

const english: Translate = (key, values) => fill(en[key], values ?? {});
const chinese: Translate = (key, values) => fill(zh[key], values ?? {});
const fails = { key: "fails", values: { column: "city", part: "category", place: 1, count: "50", score: "50%", other: "0%" } };
const matters = { key: "columns", values: { names: ["age", "city"] } };

test("a report is read in the language of the reader", () => {
  expect(saidOf(fails, "", english, true)).toBe("It fails more often in category 2 of city: 50% wrong there (50 rows), 0% elsewhere.");
  expect(saidOf(fails, "", chinese, false)).toBe("在 city 的第 2 个类别 中错误更多：那里 50% 答错（50 行），其余为 0%。");
  expect(saidOf(matters, "", english, true)).toBe("What matters most is age, then city.");
  expect(saidOf(matters, "", chinese, false)).toBe("最重要的列依次是 age、city。");
});

test("what was written without words for the page stays as it was written", () => {
  expect(saidOf(undefined, "It was good.", chinese, false)).toBe("It was good.");
  expect(saidOf({ key: "poem", values: {} }, "It was good.", chinese, false)).toBe("It was good.");
});
