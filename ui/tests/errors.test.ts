import { expect, test } from "vitest";

import { audit, endpointLogs, pauseOf } from "../src/api/queries";
import { address, ApiError, sentenceOf, setProject, toApiError } from "../src/api/request";
import { appendLines } from "../src/api/stream";
import type { Run } from "../src/api/types";
import { safeNext } from "../src/shell/sign-in";

test("an error of the platform keeps its code, sentence and request id", () => {
  const error = toApiError(404, '{"error": {"code": "not_found", "message": "There is no dataset \'x\'.", "request_id": "01J"}}', "Sorry");
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 404, code: "not_found", message: "There is no dataset 'x'.", requestId: "01J" });
});

test.each(["", "<html>502 Bad Gateway</html>", "null", "[]", '{"detail": "x"}'])("an answer of somebody else (%s) still gives a sentence", (body) => {
  expect(toApiError(502, body, "The platform could not do this")).toMatchObject({ status: 502, code: "internal", message: "The platform could not do this (HTTP 502)" });
});

test("anything thrown reads as a sentence", () => {
  expect(sentenceOf(new Error("Full disk."))).toBe("Full disk.");
  expect(sentenceOf("Full disk.")).toBe("Full disk.");
});

test.each([
  ["There is no model 'x' in project 'default'. See: lepton models list", "There is no model 'x' in project 'default'."],
  ["There is no run '01J'. See the runs there are with: lepton runs list", "There is no run '01J'."],
  ["There is no dataset 'a: lepton'. See those there are with: lepton datasets list", "There is no dataset 'a: lepton'."],
  ["Dataset 'x' has no version 7; the latest is 3. See: lepton datasets get x", "Dataset 'x' has no version 7; the latest is 3."],
  ["This token is unknown or was deleted. Make a new one with: lepton tokens create", "This token is unknown or was deleted. Make a new one."],
  ["The workers were lost. Nothing was half-written; start it again with: lepton runs retry 01J", "The workers were lost. Nothing was half-written; start it again."],
  ["No space is left where the data lives. Free some, then: lepton runs retry 01J", "No space is left where the data lives. Free some."],
  ["It runs behind an endpoint only. Deploy it: lepton endpoints deploy NAME --model x@1", "It runs behind an endpoint only. Deploy it."],
  ["The signature is not JSON. See: docs/models.md", "The signature is not JSON."],
  ["Join them in the export, or register the model as code (--code).", "Join them in the export, or register the model as code."],
  ["What it says was not measured here: lepton models evaluate does.", "What it says was not measured here."],
  ["The name 'lepton' is taken. Choose another.", "The name 'lepton' is taken. Choose another."],
  ["See: lepton models list", "See: lepton models list"],
])("the page names no command of the terminal: %s", (said, shown) => {
  expect(sentenceOf(new ApiError(404, "not_found", said))).toBe(shown);
});

test("the request log is asked for in the project that was chosen", () => {
  setProject("lab");
  expect(endpointLogs("a b").queryKey).toEqual(["endpoints", "a%20b", "logs", "/v1?project=lab&limit=100"]);
  setProject("default");
});

test("addresses leave out what is empty and repeat what is many", () => {
  expect(address("/datasets/import", { name: "a b", personal: ["x", "y"], secret: [], format: null, header: false })).toBe(
    "/v1/datasets/import?name=a+b&personal=x&personal=y&header=false",
  );
  setProject("lab");
  expect(address("/runs")).toBe("/v1/runs?project=lab");
  setProject("default");
});

test("a log line that arrives twice is shown once", () => {
  const line = (seq: number) => ({ seq, rank: 0, time: "", text: String(seq) });
  const once = appendLines([], [line(1), line(2)]);
  expect(appendLines(once, [line(2), line(3)]).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(appendLines(once, [line(1)])).toBe(once);
});

test("after signing in one stays on this site", () => {
  expect(safeNext("/models/a@1?x=1")).toBe("/models/a@1?x=1");
  for (const elsewhere of ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/sign-in?next=/x", undefined]) {
    expect(safeNext(elsewhere)).toBe("/datasets");
  }
});

test("a run is asked for again only while it goes on and no stream tells of it", () => {
  const running = { state: "running" } as Run;
  expect(pauseOf(true, running)).toBe(false);
  expect(pauseOf(false, running)).toBeGreaterThan(0);
  expect(pauseOf(false, undefined)).toBeGreaterThan(0);
  expect(pauseOf(false, { state: "succeeded" } as Run)).toBe(false);
});

test("the audit log is asked for by what is filled in", () => {
  const nothing = { actor: "", action: "", outcome: null, changes: false } as const;
  expect(audit(nothing).queryKey).toEqual(["audit", "/v1?limit=200"]);
  expect(audit({ ...nothing, actor: "ada", outcome: "denied", changes: true }).queryKey[1]).toBe("/v1?actor=ada&outcome=denied&changes=true&limit=200");
});
