/** The lineage of a model as a picture: files, datasets, runs, the model, its endpoints. */
import { useNavigate } from "@tanstack/react-router";
import { type MouseEvent, type ReactNode, useMemo } from "react";

import type { Lineage, LineageNode } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { iconOf, pageOf } from "../parts/words";
import css from "./charts.module.css";
import { edgePath, HEIGHT, layout, type Placed, RUN_RADIUS, shorten } from "./lineage-layout";
import { useWidth } from "./width";

const PAD = 6;
const SMALLEST_SCALE = 0.6; // the whole road of an ordinary model fits a laptop
const LARGEST_SCALE = 1.08;

function RunShape({ node, at }: { node: LineageNode; at: Placed }) {
  const { say } = useSpeech();
  return (
    <>
      <circle className={css.nodeShape} cx={at.width / 2} cy={HEIGHT / 2} r={RUN_RADIUS} />
      <g transform={`translate(${at.width / 2 - 9} ${HEIGHT / 2 - 9})`} style={{ color: "var(--tone)" }}>
        <Icon name="runs" size={18} />
      </g>
      <text className={css.nodeDetail} x={at.width / 2} y={HEIGHT / 2 + RUN_RADIUS + 15} textAnchor="middle">
        {shorten(say("verb", node.label), 12)}
      </text>
    </>
  );
}

function CardShape({ node, at }: { node: LineageNode; at: Placed }) {
  const { say } = useSpeech();
  const icon = iconOf(node.kind);
  // What a file was called is not kept with the run; its size then stands for it.
  const nameless = node.kind === "file" && node.label === "file";
  const detail = nameless ? "" : node.kind === "model" ? say("recipe", node.detail) : node.kind === "endpoint" ? say("state", node.detail) : node.detail;
  return (
    <>
      <rect className={css.nodeShape} width={at.width} height={HEIGHT} rx={11} />
      <g transform={`translate(${at.width - 28} 10)`} style={{ color: "var(--tone)" }}>
        <Icon name={icon} size={17} />
      </g>
      <text className={css.nodeKind} x={12} y={21}>{say("word", node.kind)}</text>
      <text className={css.nodeLabel} x={12} y={39}>{shorten(nameless ? node.detail : node.label, 19)}</text>
      <text className={css.nodeDetail} x={12} y={55}>{shorten(detail ?? "", 24)}</text>
    </>
  );
}

function Node({ node, at, here }: { node: LineageNode; at: Placed; here: boolean }) {
  const { say } = useSpeech();
  const navigate = useNavigate();
  const to = pageOf(node.id);
  const inside: ReactNode = (
    <>
      <title>{[node.label, node.detail].filter(Boolean).join(" · ")}</title>
      {node.kind === "run" ? <RunShape node={node} at={at} /> : <CardShape node={node} at={at} />}
    </>
  );
  const shared = { className: css.node, transform: `translate(${at.x} ${at.y})`, style: { "--tone": `var(--noun-${iconOf(node.kind)})` } as React.CSSProperties };
  if (!to) return <g {...shared}>{inside}</g>;
  const open = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    void navigate({ to });
  };
  return (
    <a {...shared} href={to} onClick={open} data-here={here} aria-current={here ? "page" : undefined} aria-label={`${say("word", node.kind)} ${node.kind === "run" ? say("task", node.label) : node.label}`}>
      {inside}
    </a>
  );
}

export function LineagePicture({ lineage, here }: { lineage: Lineage; here: string }) {
  const { t } = useSpeech();
  const [ref, room] = useWidth(1000);
  const { width, height, places } = useMemo(() => layout(lineage), [lineage]);
  const [w, h] = [width + 2 * PAD, height + 2 * PAD + 8];
  const scale = Math.min(Math.max(room / w, SMALLEST_SCALE), LARGEST_SCALE);
  return (
    <div className={css.lineage} ref={ref}>
      <svg
        width={w * scale} height={h * scale} viewBox={`${-PAD} ${-PAD} ${w} ${h}`} role="group" aria-label={t("plot.lineageOf", { n: lineage.nodes.length })}
        style={{ display: "block", margin: "0 auto" }}
      >
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M1 1 7 4 1 7" fill="none" stroke="var(--line-strong)" strokeWidth="1.4" />
          </marker>
        </defs>
        {lineage.edges.map(({ from, to }) => {
          const [start, end] = [places.get(from), places.get(to)];
          return start && end ? <path key={`${from} ${to}`} className={css.edge} d={edgePath(start, end)} markerEnd="url(#arrow)" /> : null;
        })}
        {lineage.nodes.map((node) => {
          const at = places.get(node.id);
          return at ? <Node key={node.id} node={node} at={at} here={node.id === here} /> : null;
        })}
      </svg>
    </div>
  );
}
