import { expect, test } from "vitest";

import { ago, bytes, cell, compact, duration, nameFromFile, number, percent } from "../src/format";

test.each([
  [0, "0"], [1_234_567, "1,234,567"], [0.123456, "0.1235"], [1234.56, "1,234.6"], [98765.4, "98,765"], [0.00001234, "1.23e−5"], [-0.5, "-0.5"],
  [null, "–"], [Number.NaN, "–"], [Number.POSITIVE_INFINITY, "∞"], [3e15, "3.00e15"],
])("number %s reads as %s", (value, text) => expect(number(value)).toBe(text));

test("an axis is short", () => {
  expect(compact(1_240_000)).toBe("1.2M");
  expect(compact(12.345)).toBe("12.3");
});

test("a share is never rounded to all or nothing", () => {
  expect(percent(0.9737)).toBe("97.4%");
  expect(percent(1)).toBe("100%");
  expect(percent(0)).toBe("0%");
  expect(percent(0.00042)).toBe("<0.1%");
  expect(percent(0.99997)).toBe(">99.9%");
});

test.each([[0, "0 B"], [999, "999 B"], [1_000, "1 kB"], [182_331, "182 kB"], [1_482_331, "1.5 MB"], [2_000_000_000_000, "2 TB"]])(
  "%s bytes read as %s", (size, text) => expect(bytes(size)).toBe(text),
);

test("durations grow in units", () => {
  const from = "2026-11-23T10:00:00Z";
  expect(duration(from, "2026-11-23T10:00:01.25Z")).toBe("1.3 s");
  expect(duration(from, "2026-11-23T10:00:42Z")).toBe("42 s");
  expect(duration(from, "2026-11-23T10:03:05Z")).toBe("3 min 5 s");
  expect(duration(from, "2026-11-23T12:10:05Z")).toBe("2 h 10 min");
  expect(duration(null, null)).toBe("–");
});

test("a moment is told from now, in the language", () => {
  const now = Date.parse("2026-11-23T10:00:00Z");
  expect(ago("2026-11-23T09:59:58Z", "en", now)).toBe("now");
  expect(ago("2026-11-23T09:55:00Z", "en", now)).toBe("5 minutes ago");
  expect(ago("2026-11-23T09:55:00Z", "zh-CN", now)).toBe("5分钟前");
  expect(ago("2026-09-01T12:00:00Z", "en", now)).toBe("Sep 1, 2026");
});

test("cells show what is missing", () => {
  expect(cell(null)).toBe("–");
  expect(cell(0)).toBe("0");
  expect(cell(false)).toBe("false");
});

test.each([["My Data (2).csv", "my-data-2"], ["housing.csv.gz", "housing"], ["数据.csv", "data"], ["_Übung_1.tsv", "bung_1"], [`${"a".repeat(90)}.csv`, "a".repeat(64)]])(
  "the file %s names a dataset %s", (file, name) => {
    expect(nameFromFile(file)).toBe(name);
    expect(name).toMatch(/^[a-z0-9][a-z0-9._-]{0,63}$/);
  },
);
