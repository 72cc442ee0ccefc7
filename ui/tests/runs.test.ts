import { expect, test } from "vitest";

import type { LogLine, Run } from "../src/api/types";
import { changesOf, splitCommand, wishOf } from "../src/runs/command";
import { cutAt, linesShown } from "../src/runs/log-lines";
import { readPatch } from "../src/runs/patch";
import { historyOf } from "../src/runs/spans";
import { countOf, nextOrder, pagesOf, readOrder, rowsInSight } from "../src/runs/rows";
import { distinctNames, fieldOf, firstAxes, titleOf, toldOf, toldRows } from "../src/runs/told";

const run = (about: Partial<Run>): Run => ({ id: "R", params: {}, columns: {}, workers: 1, resources: { cpus: 1, memory_mb: 0, gpus: 0 }, priority: 0, retries: 0, ...about }) as Run;

test("of a hundred thousand rows some thirty are drawn", () => {
  const seen = rowsInSight(53 * 50_000, 600, 53, 100_000);
  expect(seen.first).toBe(49_990);
  expect(seen.end).toBeLessThan(50_040);
  expect(pagesOf(seen, 100)).toEqual([0, 499, 500]);
  expect(rowsInSight(0, 600, 53, 3)).toEqual({ first: 0, end: 3 });
});

test("how many rows there are is known as pages come", () => {
  expect(countOf(new Map([[0, 100]]), 100)).toEqual({ rows: 100, more: true });
  expect(countOf(new Map([[0, 100], [1, 40]]), 100)).toEqual({ rows: 140, more: false });
  expect(countOf(new Map([[0, 100], [1, 0]]), 100)).toEqual({ rows: 100, more: false });
  expect(countOf(new Map([[0, 0]]), 100)).toEqual({ rows: 0, more: false });
});

test("a column is sorted down, then up, then not", () => {
  const first = nextOrder(readOrder(""), "metrics.loss");
  const second = nextOrder(readOrder(first), "metrics.loss");
  expect([first, second, nextOrder(readOrder(second), "metrics.loss")]).toEqual(["metrics.loss desc", "metrics.loss asc", ""]);
  expect(nextOrder(readOrder(""), "created_at")).toBe("created_at asc");
  expect(readOrder("metrics.`val loss` desc")).toEqual({ field: "metrics.`val loss`", descending: true });
});

test("names with blanks are quoted as the filter wants them", () => {
  expect(fieldOf("metrics.loss")).toBe("metrics.loss");
  expect(fieldOf("metrics.val loss")).toBe("metrics.`val loss`");
  expect(fieldOf("created_at")).toBe("created_at");
});

test("what runs tell stands side by side, and says where they differ", () => {
  const told = [
    toldOf(run({ params: { name: "one", lr: 0.1 }, columns: { "metrics.loss": 0.2, "params.model": "mlp", "tags.name": "x" } })),
    toldOf(run({ params: { lr: 0.1 }, columns: { "metrics.loss": 0.3, "params.model": "mlp" } })),
  ];
  expect(toldRows(told)).toEqual([
    { name: "params.lr", values: [0.1, 0.1], differs: false },
    { name: "params.model", values: ["mlp", "mlp"], differs: false },
    { name: "metrics.loss", values: [0.2, 0.3], differs: true },
  ]);
  expect(firstAxes(toldRows(told))).toEqual(["metrics.loss"]);
});

test("runs of one name are told apart by their ids", () => {
  expect(distinctNames([{ id: "01AAAA", name: "mlp" }, { id: "01BBBB", name: "mlp" }, { id: "01CCCC", name: "tree" }])).toEqual(["mlp · AAAA", "mlp · BBBB", "tree"]);
});

const said = (rank: number, text: string): LogLine => ({ seq: 0, rank, time: "", text });

test("a log is shown for one worker, and for what is looked for", () => {
  const lines = [said(0, "loss 1"), said(1, "Loss 2"), said(-1, "started")];
  expect(linesShown(lines, null, "")).toBe(lines);
  expect(linesShown(lines, 1, "").map(({ text }) => text)).toEqual(["Loss 2"]);
  expect(linesShown(lines, null, " LOSS ").map(({ text }) => text)).toEqual(["loss 1", "Loss 2"]);
  expect(cutAt("a loss is a Loss", "loss")).toEqual(["a ", "loss", " is a ", "Loss", ""]);
  expect(cutAt("nothing", "loss")).toEqual(["nothing"]);
});

const PATCH = `diff --git a/x.py b/x.py
index 1..2 100644
--- a/x.py
+++ b/x.py
@@ -1,3 +1,3 @@ def f():
 same
--- <script>alert(1)</script>
+++ b
 end
\\ No newline at end of file
`;

test("a patch is read by the lengths it tells, so that content is not taken for a head", () => {
  const patch = readPatch(PATCH);
  expect([patch.files, patch.added, patch.removed]).toEqual([1, 1, 1]);
  expect(patch.lines.map(({ kind }) => kind)).toEqual(["file", "about", "about", "about", "place", "same", "removed", "added", "same", "about"]);
  expect(patch.lines[6]?.text).toBe("--- <script>alert(1)</script>");
});

test("what trains is called a training of its model, and other runs by their own names", () => {
  const say = (prefix: string, word: string) => `${prefix} ${word}`;
  expect(titleOf(run({ task: "runs.submit", verb: "models.train", params: { name: "churn" } }), say)).toBe("verb models.train churn");
  expect(titleOf(run({ task: "runs.submit", verb: "runs.submit", params: { name: "mine" } }), say)).toBe("mine");
  expect(titleOf(run({ verb: "runs.create", columns: { "tags.name": "third" } }), say)).toBe("third");
  expect(titleOf(run({ verb: "datasets.clean" }), say)).toBe("task datasets.clean");
});

test("a command line is split as a shell does it", () => {
  expect(splitCommand("python train.py --name 'a b' --q \"it's \\\"x\\\"\" c\\ d ''")).toEqual(["python", "train.py", "--name", "a b", "--q", "it's \"x\"", "c d", ""]);
  expect(splitCommand("'it'\"'\"'s'")).toEqual(["it's"]);
  expect(splitCommand("  ")).toEqual([]);
  expect(splitCommand("echo 'open")).toBeNull();
  expect(splitCommand("echo \\")).toBeNull();
});

test("of a clone only what was changed is sent", () => {
  const earlier = run({ params: { command: "python a.py 'x y'", name: "n" }, workers: 2 });
  const wish = wishOf(earlier);
  expect(changesOf(earlier, wish)).toEqual({});
  expect(changesOf(earlier, { ...wish, command: "python a.py 'x z'", workers: 3, timeout_s: 60 })).toEqual({ command: ["python", "a.py", "x z"], workers: 3, timeout_s: 60 });
  expect(changesOf(earlier, { ...wish, command: "echo '" })).toBeNull();
});

test("a history goes from the first that was asked for to the last that ended", () => {
  const at = (second: number) => new Date(second * 1000).toISOString();
  const { from, to, bars } = historyOf([
    run({ created_at: at(0), started_at: at(10), ended_at: at(60) }),
    run({ created_at: at(50), started_at: null, ended_at: null }),
  ], 100_000);
  expect([from, to]).toEqual([0, 100_000]);
  expect(bars.map(({ asked, started, ended }) => [asked, started, ended])).toEqual([[0, 0.1, 0.6], [0.5, null, 1]]);
  expect(historyOf([], 5).bars).toEqual([]);
});
