/** Where each node of a lineage graph stands: layers from left to right, few crossings. Pure. */
import type { Endpoint, Lineage, LineageKind } from "../api/types";

export const HEIGHT = 66;
export const RUN_RADIUS = 19;
const CARD_WIDTH = 154;
const RUN_WIDTH = 58;
const GAP_X = 16;
const GAP_Y = 20;

export interface Placed {
  x: number;
  y: number;
  width: number;
  layer: number;
  kind: LineageKind;
}

export interface Layout {
  width: number;
  height: number;
  places: Map<string, Placed>;
}

/** The lineage with the endpoints that answer from this model behind it, where it does not hold them yet. */
export function withEndpoints(lineage: Lineage, ref: string, endpoints: readonly Endpoint[]): Lineage {
  const known = new Set(lineage.nodes.map(({ id }) => id));
  const more = endpoints.filter(({ name, model }) => model === ref && !known.has(`endpoint:${name}`));
  return {
    nodes: [...lineage.nodes, ...more.map(({ name, state }) => ({ id: `endpoint:${name}`, kind: "endpoint" as const, label: name, detail: state }))],
    edges: [...lineage.edges, ...more.map(({ name }) => ({ from: `model:${ref}`, to: `endpoint:${name}` }))],
  };
}

/** Layer of each node: one more than its furthest source; what has no source stands right before its first use. Edges that close a circle are ignored. */
export function layers({ nodes, edges }: Lineage): Map<string, number> {
  const known = new Set(nodes.map(({ id }) => id));
  const sources = new Map<string, string[]>();
  for (const { from, to } of edges) {
    if (known.has(from) && known.has(to) && from !== to) sources.set(to, [...(sources.get(to) ?? []), from]);
  }
  const found = new Map<string, number>();
  const visit = (id: string, above: Set<string>): number => {
    const already = found.get(id);
    if (already !== undefined) return already;
    const path = new Set(above).add(id);
    const before = (sources.get(id) ?? []).filter((source) => !path.has(source)).map((source) => visit(source, path));
    const layer = before.length === 0 ? 0 : Math.max(...before) + 1;
    found.set(id, layer);
    return layer;
  };
  nodes.forEach(({ id }) => visit(id, new Set()));
  for (const { id } of nodes) {
    if (sources.has(id)) continue;
    const uses = edges.filter(({ from, to }) => from === id && to !== id).map(({ to }) => found.get(to) ?? 1);
    if (uses.length > 0) found.set(id, Math.max(Math.min(...uses) - 1, 0));
  }
  return found;
}

/** Order nodes within their layers by the mean place of their neighbours, forwards and backwards. */
function order(lineage: Lineage, layer: Map<string, number>): string[][] {
  const columns: string[][] = [];
  for (const { id } of lineage.nodes) (columns[layer.get(id) ?? 0] ??= []).push(id);
  const neighbours = new Map<string, string[]>();
  for (const { from, to } of lineage.edges) {
    neighbours.set(from, [...(neighbours.get(from) ?? []), to]);
    neighbours.set(to, [...(neighbours.get(to) ?? []), from]);
  }
  const place = new Map<string, number>();
  const remember = (column: string[]) => column.forEach((id, i) => place.set(id, i - (column.length - 1) / 2));
  columns.forEach(remember);
  for (let sweep = 0; sweep < 4; sweep += 1) {
    const wave = sweep % 2 === 0 ? columns : [...columns].reverse();
    for (const column of wave) {
      const weight = (id: string) => {
        const near = (neighbours.get(id) ?? []).map((one) => place.get(one) ?? 0);
        return near.length === 0 ? (place.get(id) ?? 0) : near.reduce((sum, one) => sum + one, 0) / near.length;
      };
      const weights = new Map(column.map((id) => [id, weight(id)]));
      column.sort((a, b) => (weights.get(a) ?? 0) - (weights.get(b) ?? 0));
      remember(column);
    }
  }
  return columns;
}

export function layout(lineage: Lineage): Layout {
  const columns = order(lineage, layers(lineage));
  const kinds = new Map(lineage.nodes.map(({ id, kind }) => [id, kind]));
  const widthOf = (id: string) => (kinds.get(id) === "run" ? RUN_WIDTH : CARD_WIDTH);
  const tallest = Math.max(...columns.map((column) => column.length), 1);
  const height = tallest * (HEIGHT + GAP_Y) - GAP_Y;
  const places = new Map<string, Placed>();
  let left = 0;
  columns.forEach((column, layer) => {
    const width = Math.max(...column.map(widthOf));
    const top = (height - (column.length * (HEIGHT + GAP_Y) - GAP_Y)) / 2;
    column.forEach((id, j) => {
      const own = widthOf(id);
      places.set(id, { x: left + (width - own) / 2, y: top + j * (HEIGHT + GAP_Y), width: own, layer, kind: kinds.get(id) ?? "file" });
    });
    left += width + GAP_X;
  });
  return { width: Math.max(left - GAP_X, CARD_WIDTH), height, places };
}

/** Where edges leave and enter: the sides of a card, the rim of a run's circle. */
function sides({ x, width, kind }: Placed): [number, number] {
  const centre = x + width / 2;
  return kind === "run" ? [centre - RUN_RADIUS - 2, centre + RUN_RADIUS + 2] : [x, x + width];
}

/** A curve from the right side of one node to the left side of another. */
export function edgePath(from: Placed, to: Placed): string {
  const [x0, y0] = [sides(from)[1], from.y + HEIGHT / 2];
  const [x1, y1] = [sides(to)[0], to.y + HEIGHT / 2];
  const bend = Math.max((x1 - x0) / 2, 12);
  return `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`;
}

/** Cut a text to about `most` letters but keep its version; wide scripts count double. */
export function shorten(text: string, most: number): string {
  const widthOf = (part: string) => [...part].reduce((sum, letter) => sum + (letter.charCodeAt(0) > 0x2e80 ? 2 : 1), 0);
  if (widthOf(text) <= most) return text;
  const version = /@\d+$/.exec(text)?.[0] ?? "";
  const name = text.slice(0, text.length - version.length);
  const share = (most - widthOf(version) - 1) / widthOf(name);
  return `${name.slice(0, Math.max(Math.floor(name.length * share), 1))}…${version}`;
}
