/** Parallel coordinates over settings and metrics of runs; dragging along an axis keeps the runs that pass there. */
import { type KeyboardEvent, type PointerEvent, useMemo, useRef, useState } from "react";

import { compact } from "../format";
import { useSpeech } from "../i18n";
import css from "./parallel.module.css";
import { type AxisOf, axisOf, type Brushes, brushed, isInside, shareOf, trace, type Value, valueAt } from "./axes";
import { rampOf } from "./palette";
import { linear, logTicks, ticks } from "./scale";
import { useWidth } from "./width";

const HEIGHT = 320;
const MARGIN = { left: 66, right: 66, top: 46, bottom: 22 };
const LEAST_GAP = 118;
const GRIP = 26;
const KEY_STEP = 0.05;
const MOST_WORDS = 12;

export interface Traced {
  id: string;
  name: string;
  /** Its own color. */
  tone: string;
  values: Record<string, Value>;
}

interface ParallelProps {
  label: string;
  names: string[];
  runs: Traced[];
  /** The axis by which lines are colored; null: each by its own. */
  colorBy: string | null;
  brushes: Brushes;
  onBrush: (brushes: Brushes) => void;
}

/** How a value is written beside an axis. */
export const short = (name: string): string => name.replace(/^(metrics|params)\./, "");

function Scale({ axis, y }: { axis: AxisOf; y: (share: number) => number }) {
  const { tag } = useSpeech();
  if (axis.kind === "text") {
    const each = Math.ceil(axis.words.length / MOST_WORDS);
    return axis.words.filter((_, i) => i % each === 0).map((word) => (
      <text key={word} className={css.tick} x={9} y={y(shareOf(axis, word) ?? 0) + 4}>{word.length > 14 ? `${word.slice(0, 13)}…` : word}</text>
    ));
  }
  const [low, high] = axis.domain;
  const values = low === high ? [low] : (axis.log ? logTicks : ticks)(axis.domain, 5);
  return values.map((value) => <text key={value} className={css.tick} x={9} y={y(shareOf(axis, value) ?? 0) + 4}>{compact(value, tag)}</text>);
}

interface AxisProps {
  axis: AxisOf;
  place: number;
  y: (share: number) => number;
  brush: readonly [number, number] | undefined;
  onBrush: (range: readonly [number, number] | null) => void;
}

function AxisLine({ axis, place, y, brush, onBrush }: AxisProps) {
  const { t, tag } = useSpeech();
  const began = useRef<number | null>(null);
  const [top, bottom] = [y(1), y(0)];
  const shareAt = (event: PointerEvent<SVGRectElement>) => {
    const svg = event.currentTarget.ownerSVGElement?.getBoundingClientRect();
    return Math.min(Math.max((bottom - (event.clientY - (svg?.top ?? 0))) / (bottom - top), 0), 1);
  };
  const press = (event: PointerEvent<SVGRectElement>) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    began.current = shareAt(event);
    onBrush(null);
  };
  const move = (event: PointerEvent<SVGRectElement>) => began.current !== null && onBrush([began.current, shareAt(event)]);
  const key = (event: KeyboardEvent) => {
    const [low, high] = brush ?? [0, 1];
    const does: Record<string, () => void> = {
      ArrowUp: () => onBrush([Math.min(low + KEY_STEP, high - KEY_STEP), high]),
      ArrowDown: () => onBrush([low, Math.max(high - KEY_STEP, low + KEY_STEP)]),
      Escape: () => onBrush(null),
    };
    if (!does[event.key]) return;
    event.preventDefault();
    does[event.key]?.();
  };
  const write = (share: number) => (axis.kind === "number" ? compact(valueAt(axis, share), tag) : `${Math.round(share * 100)}%`);
  const words = brush ? t("compare.brushed", { name: short(axis.name), from: write(brush[0]), to: write(brush[1]) }) : t("compare.axis", { name: short(axis.name) });
  return (
    <g transform={`translate(${place} 0)`}>
      <text className={css.name} x={0} y={16} textAnchor="middle">
        <title>{axis.name}</title>
        {short(axis.name).length > 17 ? `${short(axis.name).slice(0, 16)}…` : short(axis.name)}
      </text>
      <text className={css.kind} x={0} y={30} textAnchor="middle">{axis.name.startsWith("metrics.") ? t("compare.metric") : t("compare.param")}</text>
      <line className={css.axis} y1={top} y2={bottom} />
      <Scale axis={axis} y={y} />
      {brush && <rect className={css.brush} x={-7} width={14} y={y(brush[1])} height={Math.max(y(brush[0]) - y(brush[1]), 1)} rx={3} />}
      <rect
        className={css.grip} x={-GRIP / 2} width={GRIP} y={top - 6} height={bottom - top + 12} tabIndex={0} role="slider" aria-orientation="vertical" aria-label={words}
        aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round((brush?.[0] ?? 0) * 100)} aria-valuetext={words}
        onPointerDown={press} onPointerMove={move} onPointerUp={() => { began.current = null; }} onPointerCancel={() => { began.current = null; }} onKeyDown={key}
      />
    </g>
  );
}

export function Parallel({ label, names, runs, colorBy, brushes, onBrush }: ParallelProps) {
  const [ref, width] = useWidth(640);
  const [over, setOver] = useState<string | null>(null);
  const axes = useMemo(() => names.map((name) => axisOf(name, runs.map(({ values }) => values[name] ?? null))), [names, runs]);
  const wide = Math.max(width, MARGIN.left + MARGIN.right + LEAST_GAP * (names.length - 1));
  const x = (place: number) => (names.length < 2 ? wide / 2 : linear([0, names.length - 1], [MARGIN.left, wide - MARGIN.right])(place));
  const y = linear([0, 1], [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const color = useMemo(() => axisOf("", colorBy === null ? [] : runs.map(({ values }) => values[colorBy] ?? null)), [colorBy, runs]);
  const toneOf = (run: Traced) => {
    if (colorBy === null) return run.tone;
    const share = shareOf(color, run.values[colorBy]);
    return share === null ? "var(--faint)" : rampOf(share);
  };
  // What is under the pointer, and what is inside, is drawn on top.
  const inside = new Set(runs.filter(({ values }) => isInside(axes, brushes, values)).map(({ id }) => id));
  const rank = ({ id }: Traced) => (id === over ? 2 : inside.has(id) ? 1 : 0);
  return (
    <div ref={ref} className={css.box}>
      <svg width={wide} height={HEIGHT} role="group" aria-label={label} className={css.picture}>
        {[...runs].sort((a, b) => rank(a) - rank(b)).map((run) => (
          <path
            key={run.id} d={trace(axes, run.values, x, y)} className={css.line} stroke={toneOf(run)} data-inside={inside.has(run.id)} data-over={run.id === over} data-run={run.name}
            onPointerEnter={() => setOver(run.id)} onPointerLeave={() => setOver(null)}
          >
            <title>{run.name}</title>
          </path>
        ))}
        {axes.map((axis, i) => (
          <AxisLine key={axis.name} axis={axis} place={x(i)} y={y} brush={brushes[axis.name]} onBrush={(range) => onBrush(brushed(brushes, axis.name, range))} />
        ))}
      </svg>
    </div>
  );
}
