import { expect, test } from "vitest";

import { asJson, classesOf, crc32, inputsOf, kindOf, namesInside, pack, signatureOf } from "../src/models/bundle";

const bytes = (text: string) => new TextEncoder().encode(text);

test("the checksum is that of zip archives", () => {
  expect(crc32(bytes("123456789"))).toBe(0xcbf43926); // the check value of CRC-32
  expect(crc32(bytes(""))).toBe(0);
});

test("an archive has each file once as it is and once in the list at its end", async () => {
  const packed = new Uint8Array(await pack({ "model.py": bytes("class Model: ..."), "费率.json": bytes("{}") }).arrayBuffer());
  const at = (place: number, size: 2 | 4) => new DataView(packed.buffer)[size === 2 ? "getUint16" : "getUint32"](place, true);
  const end = packed.length - 22;
  expect([at(0, 4), at(end, 4), at(end + 10, 2)]).toEqual([0x04034b50, 0x06054b50, 2]);
  expect(at(at(end + 16, 4), 4)).toBe(0x02014b50);
  expect(at(end + 12, 4) + at(end + 16, 4)).toBe(end);
  expect(new TextDecoder().decode(packed).split("费率.json")).toHaveLength(3);
});

test("the same files give the same archive, in whatever order they were chosen", async () => {
  const text = (files: Record<string, Uint8Array>) => pack(files).text();
  expect(await text({ b: bytes("2"), a: bytes("1") })).toBe(await text({ a: bytes("1"), b: bytes("2") }));
});

test("files are known by their names", () => {
  expect(kindOf(["rules.zip"])).toBe("zip");
  expect(kindOf(["digits.ONNX", "signature.json"])).toBe("graph");
  expect(kindOf(["openai.json"])).toBe("upstream");
  expect(kindOf(["rules.py", "rates.npy"])).toBe("code");
});

test("a single Python file holds the class; of several, model.py does", () => {
  expect(namesInside(["rules.py", "rates.npy"])).toEqual(["model.py", "rates.npy"]);
  expect(namesInside(["model.py", "rates.py"])).toEqual(["model.py", "rates.py"]);
  expect(namesInside(["digits.onnx"])).toEqual(["model.onnx"]);
});

test("columns are one a line, a number unless they say otherwise", () => {
  expect(inputsOf("days_late\n\n city : text \nratio: a:b: integer")).toEqual([
    { name: "days_late", type: "number" },
    { name: "city", type: "text" },
    { name: "ratio: a:b", type: "integer" },
  ]);
});

test("classes are numbers or booleans where all of them are", () => {
  expect(classesOf(["0", "1"])).toEqual([0, 1]);
  expect(classesOf(["false", "true"])).toEqual([false, true]);
  expect(classesOf(["0", "many"])).toEqual(["0", "many"]);
  expect(classesOf(["0.5", "1"])).toEqual(["0.5", "1"]);
});

test("a signature has classes only where there are some", () => {
  const declared = { task: "regression", target: " price ", columns: "area", classes: ["left", "over"] } as const;
  const inputs = [{ name: "area", type: "number" }];
  expect(signatureOf({ ...declared, classes: [...declared.classes] })).toEqual({ task: "regression", target: "price", inputs });
  expect(signatureOf({ ...declared, task: "classification", classes: ["no", "yes"] })).toMatchObject({ classes: ["no", "yes"] });
  expect(new TextDecoder().decode(asJson({ a: 1 }))).toBe('{"a":1}');
});
