/** One metric over steps, drawn by uPlot on a canvas: fast for long runs and live ones. */
import "uplot/dist/uPlot.min.css";

import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import type { MetricSeries } from "../api/types";
import { compact, number } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { useWidth } from "./width";

const HEIGHT = 190;

function options(width: number, tag: string, onOver: (at: number | null) => void, sparse: boolean): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const tone = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: tone("--faint"),
    font: "11px Inter Variable, sans-serif",
    grid: { stroke: tone("--line"), width: 1 },
    ticks: { show: false },
    values: (_, values) => values.map((value) => (value === null ? "" : compact(value, tag))),
  };
  return {
    width,
    height: HEIGHT,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false } },
    scales: { x: { time: false } },
    axes: [{ ...axis, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6], size: 30 }, { ...axis, size: 50 }],
    series: [{}, { stroke: tone("--accent-fill"), width: 2, fill: `${tone("--accent-fill")}18`, points: { show: sparse, size: 6, fill: tone("--accent-fill") } }],
    hooks: { setCursor: [(plot) => onOver(plot.cursor.idx ?? null)] },
  };
}

export function Curve({ series, label }: { series: MetricSeries; label: string }) {
  const { t, tag } = useSpeech();
  const scheme = useComputedColorScheme("light");
  const [watch, width] = useWidth(420);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const points = series.points;
  const latest = useRef(points);
  latest.current = points;
  const sparse = points.length < 40;

  useEffect(() => {
    if (!box.current) return undefined;
    const show = (at: number | null) => {
      if (!readout.current) return;
      const point = at === null ? latest.current.at(-1) : latest.current[at];
      readout.current.textContent = point ? `${t("runs.step", { n: point.step })} · ${number(point.value, tag, 5)}` : "";
    };
    const data: uPlot.AlignedData = [latest.current.map(({ step }) => step), latest.current.map(({ value }) => value)];
    plot.current = new uPlot(options(width, tag, show, sparse), data, box.current);
    show(null);
    return () => {
      plot.current?.destroy();
      plot.current = null;
    };
  }, [width, tag, scheme, sparse, t]);

  useEffect(() => {
    plot.current?.setData([points.map(({ step }) => step), points.map(({ value }) => value)]);
    const last = points.at(-1);
    if (readout.current && last) readout.current.textContent = `${t("runs.step", { n: last.step })} · ${number(last.value, tag, 5)}`;
  }, [points, t, tag]);

  return (
    <figure className={css.curve} style={{ margin: 0 }} ref={watch} aria-label={label}>
      <figcaption className={css.curveHead}>
        <b>{label}</b>
        <span ref={readout} />
      </figcaption>
      <div ref={box} />
    </figure>
  );
}
