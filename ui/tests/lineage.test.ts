import { expect, test } from "vitest";

import type { Endpoint, Lineage, LineageKind } from "../src/api/types";
import { edgePath, HEIGHT, layers, layout, shorten, withEndpoints } from "../src/charts/lineage-layout";

const graph = (arrows: [string, string][]): Lineage => {
  const ids = [...new Set(arrows.flat())];
  return {
    nodes: ids.map((id) => ({ id, kind: id.slice(0, id.indexOf(":")) as LineageKind, label: id, detail: "" })),
    edges: arrows.map(([from, to]) => ({ from, to })),
  };
};

const road = graph([
  ["file:a", "run:1"], ["run:1", "dataset:a@1"], ["dataset:a@1", "run:2"], ["run:2", "dataset:a@2"], ["dataset:a@2", "run:3"], ["run:3", "model:m@1"],
]);

test("a road is drawn from left to right on one line", () => {
  const { places, height } = layout(road);
  const xs = road.nodes.map(({ id }) => places.get(id)?.x ?? Number.NaN);
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
  expect(new Set([...places.values()].map(({ y }) => y))).toEqual(new Set([0]));
  expect(height).toBe(HEIGHT);
});

test("a node stands behind all of its sources", () => {
  const found = layers(graph([["dataset:a", "run:1"], ["dataset:b", "run:0"], ["run:0", "run:1"], ["run:1", "model:m"]]));
  expect(found.get("run:1")).toBe(2);
  expect(found.get("model:m")).toBe(3);
});

test("what has no source stands right before its first use", () => {
  const found = layers(graph([["file:a", "run:1"], ["run:1", "model:m"], ["model:m", "run:2"], ["dataset:b", "run:2"], ["run:2", "dataset:b-m"]]));
  expect([found.get("file:a"), found.get("dataset:b"), found.get("model:m")]).toEqual([0, 2, 2]);
});

test("nodes never lie on each other", () => {
  const { places } = layout(graph([["dataset:a", "run:1"], ["dataset:b", "run:1"], ["dataset:c", "run:1"], ["run:1", "model:m"], ["model:m", "endpoint:x"], ["model:m", "endpoint:y"]]));
  const all = [...places.values()];
  for (const [i, a] of all.entries()) {
    for (const b of all.slice(i + 1)) {
      const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + HEIGHT <= b.y || b.y + HEIGHT <= a.y;
      expect(apart).toBe(true);
    }
  }
});

test("arrows do not cross where they need not", () => {
  const { places } = layout(graph([["dataset:a", "run:1"], ["dataset:b", "run:2"], ["run:2", "model:x"], ["run:1", "model:y"]]));
  const y = (id: string) => places.get(id)?.y ?? 0;
  expect(Math.sign(y("dataset:a") - y("dataset:b"))).toBe(Math.sign(y("run:1") - y("run:2")));
  expect(Math.sign(y("run:1") - y("run:2"))).toBe(Math.sign(y("model:y") - y("model:x")));
});

test("a circle, an unknown end and an empty graph do no harm", () => {
  expect(layout(graph([["run:1", "run:2"], ["run:2", "run:1"]])).places.size).toBe(2);
  expect(layout({ nodes: road.nodes, edges: [{ from: "nowhere", to: "run:1" }] }).places.size).toBe(7);
  expect(layout({ nodes: [], edges: [] }).places.size).toBe(0);
});

test("endpoints that answer from the model are put behind it, once", () => {
  const endpoint = { name: "shop", model: "m@1", state: "ready" } as Endpoint;
  const whole = withEndpoints(road, "m@1", [endpoint, { ...endpoint, name: "other", model: "m@2" }]);
  expect(whole.nodes.at(-1)?.id).toBe("endpoint:shop");
  expect(whole.nodes).toHaveLength(8);
  expect(withEndpoints(whole, "m@1", [endpoint])).toEqual(whole);
});

test("an edge runs from the right side of its source to the left side of its end", () => {
  const { places } = layout(road);
  const [from, to] = [places.get("file:a"), places.get("run:1")];
  if (!from || !to) throw new Error("not placed");
  expect(edgePath(from, to).startsWith(`M${from.x + from.width} ${HEIGHT / 2}`)).toBe(true);
});

test("a long name is cut before its version", () => {
  expect(shorten("cancer@1", 19)).toBe("cancer@1");
  expect(shorten("california_housing_prices@12", 19)).toBe("california_hous…@12");
  expect(shorten("加利福尼亚州住房价格数据集@3", 19)).toBe("加利福尼亚州住房…@3");
});
