/** Some lines over the last minutes, with what they are under the pointer. */
import { useState } from "react";

import { compact } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { linear, ticks } from "./scale";
import { useWidth } from "./width";

const HEIGHT = 132;
const MARGIN = { left: 44, right: 8, top: 8, bottom: 20 };

export interface Line {
  name: string;
  tone: string;
  /** Null where nothing was measured: the line has a gap there. */
  values: (number | null)[];
}

interface TimelineProps {
  label: string;
  /** Seconds since 1970 of each value. */
  times: number[];
  lines: Line[];
  /** How long the whole picture is, in seconds. */
  span: number;
  write: (value: number) => string;
}

/** A path through the values, begun anew behind each gap. */
export function broken(times: readonly number[], values: readonly (number | null)[], x: (time: number) => number, y: (value: number) => number): string {
  let pen = "M";
  return values
    .map((value, i) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const at = `${pen}${x(times[i] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return at;
    })
    .join("");
}

/** The places of values that stand between two gaps, where no line leads. */
export function alone(values: readonly (number | null)[]): number[] {
  const blank = (i: number) => (values[i] ?? null) === null;
  return values.flatMap((_, i) => (!blank(i) && blank(i - 1) && blank(i + 1) ? [i] : []));
}

/** The place of the time nearest to one. */
export function nearest(times: readonly number[], wanted: number): number {
  return times.reduce((best, time, i) => (Math.abs(time - wanted) < Math.abs((times[best] ?? 0) - wanted) ? i : best), 0);
}

export function Timeline({ label, times, lines, span, write }: TimelineProps) {
  const { t, tag } = useSpeech();
  const [ref, width] = useWidth(360);
  const [over, setOver] = useState<number | null>(null);
  const end = times.at(-1) ?? 0;
  const most = Math.max(...lines.flatMap(({ values }) => values.map((value) => value ?? 0)), 0);
  const bottom = HEIGHT - MARGIN.bottom;
  const x = linear([end - span, end], [MARGIN.left, width - MARGIN.right]);
  const y = linear([0, most * 1.08 || 1], [bottom, MARGIN.top]);
  const at = over === null || over >= times.length ? null : over;
  const minutes = Math.round(span / 60);
  const point = (event: React.PointerEvent<SVGSVGElement>) => {
    const left = event.clientX - event.currentTarget.getBoundingClientRect().left;
    const time = end - span + ((left - MARGIN.left) / Math.max(width - MARGIN.left - MARGIN.right, 1)) * span;
    setOver(times.length === 0 ? null : nearest(times, time));
  };
  const clock = at === null ? null : new Date((times[at] ?? 0) * 1000).toLocaleTimeString(tag);
  return (
    <figure style={{ margin: 0, minWidth: 0 }} ref={ref} aria-label={label}>
      <figcaption className={css.curveHead}>
        <b>{label}</b>
        <span style={{ display: "inline-flex", gap: 12, whiteSpace: "nowrap" }}>
          {clock && <span>{clock}</span>}
          {lines.map(({ name, tone, values }) => {
            const value = at === null ? values.findLast((one) => one !== null) : values[at];
            return (
              <span key={name} style={{ display: "inline-flex", alignItems: "center", gap: 5 }}>
                {lines.length > 1 && <i className={css.key} style={{ background: tone }} />}
                {lines.length > 1 && name} {value === null || value === undefined ? "–" : write(value)}
              </span>
            );
          })}
        </span>
      </figcaption>
      <svg width={width} height={HEIGHT} role="img" aria-label={label} style={{ display: "block" }} onPointerMove={point} onPointerLeave={() => setOver(null)}>
        {ticks([0, most * 1.08 || 1], 3).map((value) => (
          <g key={value}>
            <line className={css.grid} x1={MARGIN.left} x2={width - MARGIN.right} y1={y(value)} y2={y(value)} />
            <text className={css.axis} x={MARGIN.left - 8} y={y(value) + 4} textAnchor="end">{compact(value, tag)}</text>
          </g>
        ))}
        <text className={css.axis} x={MARGIN.left} y={HEIGHT - 4}>{t("live.minutesAgo", { n: minutes })}</text>
        <text className={css.axis} x={width - MARGIN.right} y={HEIGHT - 4} textAnchor="end">{t("live.now")}</text>
        {lines.map(({ name, tone, values }, i) => {
          const line = broken(times, values, x, y);
          const first = values.findIndex((value) => value !== null);
          const whole = i === 0 && first >= 0 && values.every((value) => value !== null);
          return (
            <g key={name}>
              {whole && <path d={`${line}L${x(end).toFixed(1)} ${bottom}L${x(times[first] ?? 0).toFixed(1)} ${bottom}Z`} fill={tone} fillOpacity={0.1} />}
              <path className={css.line} d={line} style={{ stroke: tone, strokeWidth: 1.8, strokeLinecap: "round" }} />
              {alone(values).map((place) => <circle key={place} cx={x(times[place] ?? 0)} cy={y(values[place] ?? 0)} r={2.6} fill={tone} />)}
            </g>
          );
        })}
        {at !== null && <line className={css.guide} x1={x(times[at] ?? 0)} x2={x(times[at] ?? 0)} y1={MARGIN.top} y2={bottom} />}
      </svg>
    </figure>
  );
}
