/** A plane with two number axes; the plots of a model draw on it. */
import type { ReactNode } from "react";

import { compact } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { linear, ticks } from "./scale";
import { useWidth } from "./width";

const MARGIN = { left: 52, right: 14, top: 10, bottom: 40 };

export interface Scales {
  x: (value: number) => number;
  y: (value: number) => number;
}

interface PlaneProps {
  label: string;
  x: [number, number];
  y: [number, number];
  xTitle: string;
  yTitle: string;
  height?: number;
  children: (scales: Scales) => ReactNode;
}

export function Plane({ label, x, y, xTitle, yTitle, height = 300, children }: PlaneProps) {
  const { tag } = useSpeech();
  const [ref, width] = useWidth(420);
  const bottom = height - MARGIN.bottom;
  const scales: Scales = { x: linear(x, [MARGIN.left, width - MARGIN.right]), y: linear(y, [bottom, MARGIN.top]) };
  return (
    <div ref={ref}>
      <svg width={width} height={height} role="img" aria-label={label} style={{ display: "block" }}>
        {ticks(y, 5).map((value) => (
          <g key={value}>
            <line className={css.grid} x1={MARGIN.left} x2={width - MARGIN.right} y1={scales.y(value)} y2={scales.y(value)} />
            <text className={css.axis} x={MARGIN.left - 8} y={scales.y(value) + 4} textAnchor="end">{compact(value, tag)}</text>
          </g>
        ))}
        {ticks(x, Math.max(Math.min(width / 90, 6), 2)).map((value) => (
          <text key={value} className={css.axis} x={scales.x(value)} y={bottom + 16} textAnchor="middle">{compact(value, tag)}</text>
        ))}
        <text className={css.axisTitle} x={(MARGIN.left + width - MARGIN.right) / 2} y={height - 6} textAnchor="middle">{xTitle}</text>
        <text className={css.axisTitle} transform={`translate(11 ${(MARGIN.top + bottom) / 2}) rotate(-90)`} textAnchor="middle">{yTitle}</text>
        {children(scales)}
      </svg>
    </div>
  );
}

export function path(xs: readonly number[], ys: readonly number[], scales: Scales): string {
  return xs.map((value, i) => `${i === 0 ? "M" : "L"}${scales.x(value).toFixed(1)} ${scales.y(ys[i] ?? 0).toFixed(1)}`).join("");
}

/** A little air around the data, so that no dot sits on the frame. */
export function padded([low, high]: [number, number]): [number, number] {
  const room = (high - low || Math.abs(high) || 1) * 0.04;
  return [low - room, high + room];
}
