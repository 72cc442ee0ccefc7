/** Runs beside each other: their curves, parallel coordinates over settings and metrics, and both as a table. */
import { ActionIcon, Button, MultiSelect, Select, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { runsOf } from "../api/queries";
import type { Run } from "../api/types";
import { axisOf, type Brushes, isInside, type Value } from "../charts/axes";
import { dashOf, toneOf } from "../charts/palette";
import { Parallel } from "../charts/parallel";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Page, PageSkeleton, Panel } from "../parts/page";
import { Empty, Problem } from "../parts/words";
import css from "./compare.module.css";
import { CompareCurves } from "./compare-curves";
import { CompareTable } from "./compare-table";
import { bare, distinctNames, firstAxes, isMetric, isSystem, titleOf, toldOf, toldRows } from "./told";

/** A run in a comparison. */
export interface Compared {
  id: string;
  run: Run;
  name: string;
  tone: string;
  dash: string;
  values: Record<string, Value>;
}

function Legend({ runs, inside, onRemove }: { runs: Compared[]; inside: ReadonlySet<string>; onRemove: (id: string) => void }) {
  const { t } = useSpeech();
  return (
    <ul className={css.legend} aria-label={t("nav.runs")}>
      {runs.map(({ id, name, tone, dash }) => (
        <li key={id} data-inside={inside.has(id)}>
          <svg width={20} height={10} aria-hidden="true"><line x1={1} x2={19} y1={5} y2={5} stroke={tone} strokeWidth={3} strokeLinecap="round" strokeDasharray={dash || undefined} /></svg>
          <Link to="/runs/$id" params={{ id }}>{name}</Link>
          <ActionIcon size={18} variant="subtle" color="gray" aria-label={t("compare.remove", { name })} onClick={() => onRemove(id)}><Icon name="close" size={12} /></ActionIcon>
        </li>
      ))}
    </ul>
  );
}

interface ParallelPanelProps {
  runs: Compared[];
  names: string[];
  axes: string[];
  onAxes: (axes: string[]) => void;
  brushes: Brushes;
  onBrush: (brushes: Brushes) => void;
  inside: number;
}

function ParallelPanel({ runs, names, axes, onAxes, brushes, onBrush, inside }: ParallelPanelProps) {
  const { t } = useSpeech();
  const metrics = names.filter(isMetric);
  const [chosen, setColor] = useState<string | null>(null);
  const color = chosen ?? axes.findLast(isMetric) ?? "";
  const side = (
    <span className={css.side} role="status">
      {t("compare.inside", { n: inside, of: runs.length })}
      {Object.keys(brushes).length > 0 && <Button size="compact-xs" variant="default" onClick={() => onBrush({})}>{t("compare.clear")}</Button>}
    </span>
  );
  return (
    <Panel title={t("compare.parallel")} hint={t("compare.parallelHint")} side={side}>
      <div className={css.tools}>
        <MultiSelect
          size="xs" className={css.wide} label={t("compare.axes")} searchable clearable value={axes} onChange={onAxes} hidePickedOptions
          data={[
            { group: t("word.parameters"), items: names.filter((name) => !isMetric(name)).map((value) => ({ value, label: bare(value) })) },
            { group: t("runs.metrics"), items: metrics.map((value) => ({ value, label: bare(value) })) },
          ]}
        />
        <Select
          size="xs" label={t("compare.color")} allowDeselect={false} searchable value={color} onChange={(value) => setColor(value ?? "")}
          data={[{ value: "", label: t("compare.byRun") }, ...metrics.map((value) => ({ value, label: bare(value) }))]}
        />
      </div>
      {axes.length > 0 ? (
        <Parallel label={t("compare.parallel")} names={axes} runs={runs} colorBy={color || null} brushes={brushes} onBrush={onBrush} />
      ) : (
        <p className={css.none}>{t("compare.noAxes")}</p>
      )}
    </Panel>
  );
}

function useCompared(items: Run[] | undefined, ids: string[]): Compared[] {
  const { say } = useSpeech();
  return useMemo(() => {
    const found = new Map(items?.map((run) => [run.id, run]));
    // In the order in which they were chosen, so that a color stays when a run is removed behind it.
    const runs = ids.flatMap((id) => found.get(id) ?? []);
    const names = distinctNames(runs.map((run) => ({ id: run.id, name: titleOf(run, say) })));
    return runs.map((run, place) => ({ id: run.id, run, name: names[place] ?? run.id, tone: toneOf(place), dash: dashOf(place), values: toldOf(run) }));
  }, [items, ids, say]);
}

function Comparison({ runs, onRemove }: { runs: Compared[]; onRemove: (id: string) => void }) {
  const { t } = useSpeech();
  const rows = useMemo(() => toldRows(runs.map(({ values }) => values)), [runs]);
  const names = useMemo(() => rows.map(({ name }) => name), [rows]);
  const metrics = useMemo(() => names.filter(isMetric).map(bare), [names]);
  const [chosenAxes, setAxes] = useState<string[] | null>(null);
  const [brushes, setBrushes] = useState<Brushes>({});
  const [onlyDiffering, setOnlyDiffering] = useState(false);
  const axes = useMemo(() => chosenAxes ?? firstAxes(rows), [chosenAxes, rows]);
  const inside = useMemo(() => {
    const drawn = axes.map((name) => axisOf(name, runs.map(({ values }) => values[name] ?? null)));
    return runs.filter(({ values }) => isInside(drawn, brushes, values));
  }, [axes, runs, brushes]);
  const ids = useMemo(() => new Set(inside.map(({ id }) => id)), [inside]);
  return (
    <div className={css.page}>
      <Legend runs={runs} inside={ids} onRemove={onRemove} />
      <CompareCurves runs={inside} metrics={metrics} system={metrics.filter((name) => isSystem(`metrics.${name}`))} />
      <ParallelPanel
        runs={runs} names={names} axes={axes} brushes={brushes} onBrush={setBrushes} inside={inside.length}
        onAxes={(next) => {
          setAxes(next);
          setBrushes(Object.fromEntries(Object.entries(brushes).filter(([name]) => next.includes(name))));
        }}
      />
      <Panel
        flush title={t("compare.table")} hint={t("compare.tableHint")}
        side={<Switch size="xs" label={t("compare.onlyDiffering")} checked={onlyDiffering} onChange={(event) => setOnlyDiffering(event.currentTarget.checked)} />}
      >
        <CompareTable runs={inside} onlyDiffering={onlyDiffering} />
      </Panel>
    </div>
  );
}

export function ComparePage() {
  const { t } = useSpeech();
  const { ids: text = "" } = useSearch({ from: "/shell/runs/compare" });
  const ids = useMemo(() => [...new Set(text.split(",").filter(Boolean))].slice(0, 500), [text]);
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery({ ...runsOf(ids), enabled: ids.length > 0, placeholderData: (before) => before });
  const runs = useCompared(data?.items, ids);
  const parent = { to: "/runs", label: t("nav.runs"), icon: "runs" } as const;
  if (ids.length > 0 && !data && !error) return <PageSkeleton />;
  const remove = (id: string) => void navigate({ to: "/runs/compare", search: { ids: ids.filter((one) => one !== id).join(",") || undefined }, replace: true });
  return (
    <Page title={t("compare.title")} lead={runs.length > 0 ? t("count.runs", { n: runs.length }) : t("compare.lead")} parent={parent}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!error && runs.length === 0 && (
        <Panel flush>
          <Empty icon="runs" title={t("compare.empty")} text={t("compare.emptyText")} action={<Button component={Link} to="/runs">{t("nav.runs")}</Button>} />
        </Panel>
      )}
      {runs.length > 0 && <Comparison runs={runs} onRemove={remove} />}
    </Page>
  );
}
