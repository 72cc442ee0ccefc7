/** How the values of a column are spread: bars for numbers, counted values for text. */
import { useState } from "react";

import type { Scalar } from "../api/types";
import { cell, compact, number, percent } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { useWidth } from "./width";

const HEIGHT = 84;
const FOOT = 16;

interface HistogramProps {
  name: string;
  edges: number[];
  counts: number[];
}

export function Histogram({ name, edges, counts }: HistogramProps) {
  const { t, tag } = useSpeech();
  const [ref, width] = useWidth(280);
  const [over, setOver] = useState<number | null>(null);
  const most = Math.max(...counts, 1);
  const step = width / Math.max(counts.length, 1);
  const gap = step > 5 ? 1.5 : 0.5;
  const readout =
    over === null ? null : `${t("profile.between", { from: number(edges[over], tag), to: number(edges[over + 1], tag) })} · ${t("count.rows", { n: counts[over] ?? 0 })}`;
  return (
    <div ref={ref}>
      <svg width={width} height={HEIGHT + FOOT} role="img" aria-label={t("profile.histogram", { name })} onPointerLeave={() => setOver(null)} style={{ display: "block" }}>
        {counts.map((count, i) => {
          const height = count === 0 ? 0 : Math.max((count / most) * (HEIGHT - 4), 1.5);
          return (
            <g key={i} onPointerEnter={() => setOver(i)}>
              <rect className={css.hit} x={i * step} width={step} height={HEIGHT} />
              <rect className={css.bar} x={i * step + gap / 2} y={HEIGHT - height} width={Math.max(step - gap, 0.5)} height={height} rx={Math.min(2, step / 4)} style={over === i ? { fill: "var(--warm)" } : undefined} />
            </g>
          );
        })}
        <line className={css.grid} x2={width} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} />
        <text className={css.axis} y={HEIGHT + 14}>{compact(edges[0] ?? 0, tag)}</text>
        <text className={css.axis} x={width} y={HEIGHT + 14} textAnchor="end">{compact(edges.at(-1) ?? 0, tag)}</text>
        {readout && <text className={css.axis} x={width / 2} y={HEIGHT + 14} textAnchor="middle" style={{ fill: "var(--text)" }}>{readout}</text>}
      </svg>
    </div>
  );
}

interface TopValuesProps {
  values: { value: Scalar; count: number }[];
  rows: number;
  /** How many different values there are, where that is known. */
  distinct: number | null;
  most?: number;
}

export function TopValues({ values, rows, distinct, most = 6 }: TopValuesProps) {
  const { t, tag } = useSpeech();
  const shown = values.slice(0, most);
  const others = (distinct ?? values.length) - shown.length;
  const largest = Math.max(...shown.map(({ count }) => count), 1);
  return (
    <>
      <ul className={css.bars}>
        {shown.map(({ value, count }, i) => (
          <li key={i}>
            <span className={css.barName} title={String(value ?? "")}>{cell(value, tag)}</span>
            <span className={css.track}><i style={{ width: `${(count / largest) * 100}%` }} /></span>
            <span className={css.barValue} title={number(count, tag)}>{percent(count / Math.max(rows, 1), tag)}</span>
          </li>
        ))}
      </ul>
      {others > 0 && <div className={css.readout} style={{ marginTop: 6 }}>{t("profile.other", { n: others })}</div>}
    </>
  );
}

export interface ShareBar {
  name: string;
  share: number;
}

/** Shares of one, as bars; the first one stands out. */
export function ShareBars({ bars }: { bars: ShareBar[] }) {
  const { tag } = useSpeech();
  return (
    <ul className={css.bars}>
      {bars.map(({ name, share }, i) => (
        <li key={name} style={i === 0 ? { fontWeight: 600 } : undefined}>
          <span className={css.barName} title={name}>{name}</span>
          <span className={css.track}><i style={{ width: `${share * 100}%`, background: i === 0 ? undefined : "var(--line-strong)" }} /></span>
          <span className={css.barValue}>{percent(share, tag)}</span>
        </li>
      ))}
    </ul>
  );
}
