/** Curves of several runs over each other: which metrics, over what, how smooth. */
import { Button, MultiSelect, SegmentedControl, Slider, Switch } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useMemo, useRef, useState } from "react";

import { isOpen, runCurves } from "../api/queries";
import type { MetricSeries } from "../api/types";
import { Curves } from "../charts/curves";
import { type Axis, type Line, placed, type Range } from "../charts/lines";
import { ticks, timeTicks } from "../charts/scale";
import { smooth } from "../charts/smoothing";
import { duration, moment, number } from "../format";
import { useSpeech } from "../i18n";
import { Panel, RowsSkeleton } from "../parts/page";
import { Problem } from "../parts/words";
import type { Compared } from "./compare";
import css from "./compare.module.css";

const FIRST_METRICS = 4;
/** Of more runs, lines cannot be told apart, and each is asked for. */
const MOST_RUNS = 24;

/** How places on the x axis are found and written. */
function useAxis(axis: Axis) {
  const { t, tag } = useSpeech();
  return useMemo(() => {
    if (axis === "step") {
      return { ticksX: ticks, writeX: (x: number, full: boolean) => (full ? t("runs.step", { n: Math.round(x) }) : number(x, tag)) };
    }
    if (axis === "relative") {
      const write = (x: number) => (x < 0 ? "−" : "") + duration(new Date(0).toISOString(), new Date(Math.abs(x) * 1000).toISOString());
      return { ticksX: (range: Range, count: number) => timeTicks(range, count), writeX: write };
    }
    const offset = new Date().getTimezoneOffset() * 60;
    const clock = new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit" });
    const day = new Intl.DateTimeFormat(tag, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
    let long = false;
    return {
      ticksX: (range: Range, count: number) => {
        long = range[1] - range[0] > 86_400;
        return timeTicks(range, Math.max(count - (long ? 2 : 0), 2), offset);
      },
      writeX: (x: number, full: boolean) => (full ? moment(new Date(x * 1000).toISOString(), tag) : (long ? day : clock).format(x * 1000)),
    };
  }, [axis, t, tag]);
}

function linesOf(runs: Compared[], answers: (MetricSeries[] | undefined)[], key: string, axis: Axis, weight: number): Line[] {
  return runs.flatMap((one, i): Line[] => {
    const points = answers[i]?.find((series) => series.key === key)?.points ?? [];
    if (points.length === 0) return [];
    const began = Date.parse(one.run.started_at ?? points[0]?.time ?? "") / 1000;
    const { xs, ys } = placed(points, axis, began);
    return [{ id: one.id, name: one.name, tone: one.tone, dash: one.dash, xs, ys, smooth: weight > 0 ? smooth(xs, ys, weight) : null }];
  });
}

interface CompareCurvesProps {
  runs: Compared[];
  metrics: string[];
  /** Those that are about the machine: not shown at first. */
  system: string[];
}

export function CompareCurves({ runs: all, metrics, system }: CompareCurvesProps) {
  const { t } = useSpeech();
  const [chosen, setChosen] = useState<string[] | null>(null);
  const [axis, setAxis] = useState<Axis>("step");
  const [log, setLog] = useState(false);
  const [weight, setWeight] = useState(0);
  const [zoom, setZoom] = useState<Range | null>(null);
  const runs = all.slice(0, MOST_RUNS);
  const first = metrics.filter((name) => !system.includes(name)).slice(0, FIRST_METRICS);
  const shown = chosen ?? (first.length > 0 ? first : metrics.slice(0, FIRST_METRICS));
  // Between two steps the server has more points than it sent for the whole.
  const steps = axis === "step" && zoom ? ([Math.floor(zoom[0]), Math.ceil(zoom[1])] as const) : null;
  const answers = useQueries({ queries: runs.map(({ id, run }) => runCurves(id, isOpen(run), shown, steps)) });
  const error = answers.find((one) => one.error)?.error;
  const { ticksX, writeX } = useAxis(axis);
  // While a closer look is on its way, what there is stays.
  const last = useRef(new Map<string, MetricSeries[]>());
  const data = answers.map((one, i) => {
    const id = runs[i]?.id ?? "";
    if (one.data) last.current.set(id, one.data.metrics);
    return one.data?.metrics ?? last.current.get(id);
  });
  const loading = !error && shown.length > 0 && data.some((one) => one === undefined);
  // One stamp for all answers, so that lines are made anew when an answer came, not at each look.
  const stamp = answers.map((one) => one.dataUpdatedAt).join();
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const charts = useMemo(() => shown.map((key) => ({ key, lines: linesOf(runs, data, key, axis, weight) })), [stamp, shown.join("\n"), all, axis, weight]);

  if (metrics.length === 0) return <Panel title={t("compare.curves")}><p className={css.none}>{t("compare.noMetrics")}</p></Panel>;
  return (
    <Panel title={t("compare.curves")} hint={all.length > MOST_RUNS ? t("compare.firstRuns", { n: MOST_RUNS }) : t("compare.curvesHint")}>
      <div className={css.tools}>
        <MultiSelect
          size="xs" className={css.wide} label={t("runs.metrics")} searchable clearable hidePickedOptions value={shown} onChange={setChosen}
          data={metrics.map((value) => ({ value, label: value }))}
        />
        <div>
          <div className={css.label}>{t("compare.xAxis")}</div>
          <SegmentedControl
            size="xs" aria-label={t("compare.xAxis")} value={axis}
            onChange={(value) => {
              setAxis(value as Axis);
              setZoom(null);
            }}
            data={(["step", "relative", "time"] as const).map((value) => ({ value, label: t(`compare.axis.${value}`) }))}
          />
        </div>
        <div className={css.slider}>
          <div className={css.label}>{t("compare.smoothing")}<span className="figures">{weight.toFixed(2)}</span></div>
          <Slider size="sm" thumbLabel={t("compare.smoothing")} label={null} min={0} max={0.99} step={0.01} value={weight} onChange={setWeight} />
        </div>
        <Switch size="xs" className={css.switch} label={t("compare.log")} checked={log} onChange={(event) => setLog(event.currentTarget.checked)} />
        <Button size="xs" variant="default" disabled={!zoom} onClick={() => setZoom(null)}>{t("compare.wholeCurve")}</Button>
      </div>
      {error && <Problem error={error} />}
      {loading && <RowsSkeleton count={4} />}
      {!loading && shown.length === 0 && <p className={css.none}>{t("compare.noneChosen")}</p>}
      {!loading && !error && (
        <div className={css.charts}>
          {charts.map(({ key, lines }) => (
            <figure key={key} className={css.chart}>
              <figcaption>{key}</figcaption>
              {lines.length > 0 ? (
                <Curves label={key} lines={lines} log={log} zoom={zoom} onZoom={setZoom} ticksX={ticksX} writeX={writeX} />
              ) : (
                <p className={css.none}>{t("compare.noPoints")}</p>
              )}
            </figure>
          ))}
        </div>
      )}
    </Panel>
  );
}
