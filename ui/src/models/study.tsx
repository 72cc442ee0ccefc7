/** One study: how the search went, what mattered, and every trial with its run. */
import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { study as studyQuery } from "../api/queries";
import type { Study, Trial } from "../api/types";
import { axisOf, type Brushes, isInside, type Value } from "../charts/axes";
import { Parallel } from "../charts/parallel";
import { endedOf, firstTwo } from "../charts/searched";
import { Contour, History, Importance, Slice } from "../charts/study";
import { compact, duration } from "../format";
import { useSpeech } from "../i18n";
import { Page, PageSkeleton, Panel, Tiles } from "../parts/page";
import parts from "../parts/parts.module.css";
import { Empty, NameLink, Problem, RefChip } from "../parts/words";
import css from "./models.module.css";
import { goalOf, settingsOf } from "./studies";

const MOST_SLICES = 12;
const MOST_ROWS = 200;

const valueOf = (value: Trial["params"][string]): Value => (typeof value === "boolean" ? String(value) : value);

function useTraced(study: Study) {
  const { t } = useSpeech();
  const goal = study.metric || t("studies.value");
  return useMemo(() => {
    const names = [...study.space.map(({ name }) => name), `metrics.${goal}`];
    const runs = endedOf(study.trials).map((trial) => ({
      id: String(trial.number), name: `${t("study.trial")} ${trial.number}`, tone: "var(--accent-fill)",
      values: { ...Object.fromEntries(Object.entries(trial.params).map(([name, value]) => [name, valueOf(value)])), [`metrics.${goal}`]: trial.value } as Record<string, Value>,
    }));
    return { goal, names, runs };
  }, [study, goal, t]);
}

function ContourPanel({ study }: { study: Study }) {
  const { t } = useSpeech();
  const first = firstTwo(study.space, study.importance);
  const [chosen, choose] = useState<[string, string] | null>(null);
  const [across, up] = chosen ?? first ?? ["", ""];
  const [dimensionAcross, dimensionUp] = [study.space.find(({ name }) => name === across), study.space.find(({ name }) => name === up)];
  if (!first || !dimensionAcross || !dimensionUp) return null;
  const names = study.space.map(({ name }) => name);
  return (
    <Panel
      title={t("study.contour")} hint={t("study.contourHint")}
      side={
        <span style={{ display: "flex", gap: 8 }}>
          <Select size="xs" w={140} aria-label={t("study.across")} data={names} value={across} allowDeselect={false} onChange={(name) => name && choose([name, name === up ? across : up])} />
          <Select size="xs" w={140} aria-label={t("study.up")} data={names} value={up} allowDeselect={false} onChange={(name) => name && choose([name === across ? up : across, name])} />
        </span>
      }
    >
      <Contour trials={endedOf(study.trials)} maximize={study.directions[0] === "maximize"} goal="" best={study.best} across={dimensionAcross} up={dimensionUp} />
    </Panel>
  );
}

function TrialTable({ study, trials }: { study: Study; trials: Trial[] }) {
  const { t, say, tag } = useSpeech();
  const sign = study.directions[0] === "maximize" ? -1 : 1;
  const ranked = [...trials].sort((a, b) => (a.value === null ? 1 : 0) - (b.value === null ? 1 : 0) || sign * ((a.value ?? 0) - (b.value ?? 0)) || a.number - b.number);
  return (
    <div className={parts.scroll} style={{ maxHeight: 520, overflowY: "auto" }} tabIndex={0}>
      <table className={parts.table} aria-label={t("study.all")}>
        <thead>
          <tr>
            <th className={parts.numeric}>{t("study.trial")}</th>
            <th>{t("word.state")}</th>
            <th className={parts.numeric}>{study.metric || t("studies.value")}</th>
            {study.space.map(({ name }) => <th key={name} className={parts.numeric}>{name}</th>)}
            <th className={parts.numeric}>{t("word.duration")}</th>
            <th>{t("word.run")}</th>
          </tr>
        </thead>
        <tbody>
          {ranked.slice(0, MOST_ROWS).map((trial) => (
            <tr key={trial.number} data-best={trial.number === study.best}>
              <td className={parts.numeric}>{trial.number === study.best ? <b>{trial.number}</b> : trial.number}</td>
              <td className={parts.quiet} title={trial.error || undefined}>{say("trial", trial.state)}</td>
              <td className={parts.numeric}>{trial.value === null ? "–" : compact(trial.value, tag)}</td>
              {study.space.map(({ name }) => {
                const value = trial.params[name];
                return <td key={name} className={parts.numeric}>{typeof value === "number" ? compact(value, tag) : String(value ?? "")}</td>;
              })}
              <td className={parts.numeric}>{duration(trial.started_at, trial.ended_at)}</td>
              <td>{trial.run_id && <NameLink to={`/runs/${trial.run_id}`}>{trial.run_id.slice(-6)}</NameLink>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Searched({ study }: { study: Study }) {
  const { t } = useSpeech();
  const { goal, names, runs } = useTraced(study);
  const [brushes, setBrushes] = useState<Brushes>({});
  const trials = useMemo(() => endedOf(study.trials), [study]);
  const kept = useMemo(() => {
    const axes = names.map((name) => axisOf(name, runs.map(({ values }) => values[name] ?? null)));
    return new Set(runs.filter(({ values }) => isInside(axes, brushes, values)).map(({ id }) => id));
  }, [names, runs, brushes]);
  const drawn = { trials, maximize: study.directions[0] === "maximize", goal, best: study.best };
  const shown = Object.keys(brushes).length > 0 ? study.trials.filter(({ number }) => kept.has(String(number))) : study.trials;
  return (
    <>
      {trials.length === 0 && <Panel flush><Empty icon="models" title={t("study.nothing")} text={t("study.nothingText")} /></Panel>}
      {trials.length > 0 && (
        <>
          <div className={css.plots}>
            <Panel title={t("study.history")} hint={t("study.historyHint")}><History {...drawn} /></Panel>
            <Panel title={t("study.importance")} hint={t("study.importanceHint")}>
              {Object.keys(study.importance).length > 0 ? <Importance importance={study.importance} /> : <p className={parts.quiet}>{t("study.noImportance")}</p>}
            </Panel>
            <ContourPanel study={study} />
          </div>
          <Panel title={t("study.slices")} hint={t("study.slicesHint")}>
            <div className={css.plots}>{study.space.slice(0, MOST_SLICES).map((dimension) => <Slice key={dimension.name} {...drawn} dimension={dimension} />)}</div>
          </Panel>
          <Panel title={t("study.parallel")} hint={t("study.parallelHint")}>
            <Parallel label={t("study.parallel")} names={names} runs={runs} colorBy={`metrics.${goal}`} brushes={brushes} onBrush={setBrushes} />
          </Panel>
        </>
      )}
      <Panel flush title={t("study.all")} side={<span role="status">{t("study.inside", { n: shown.length, of: study.trials.length })}</span>}>
        <TrialTable study={study} trials={shown} />
      </Panel>
    </>
  );
}

export function StudyPage() {
  const { t, tag } = useSpeech();
  const { name } = useParams({ from: "/shell/models/studies/$name" });
  const { data: study, error, refetch } = useQuery(studyQuery(name));
  const parent = { to: "/models", label: t("nav.models"), icon: "models" } as const;
  if (!study && !error) return <PageSkeleton />;
  return (
    <Page title={name} lead={study && t("study.lead", { n: study.trials.length, goal: goalOf(study, t) })} parent={parent}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {study && (
        <>
          <Tiles
            label={t("studies.best")}
            tiles={[
              { label: t("studies.best"), value: study.best_value === null ? "–" : compact(study.best_value, tag), note: settingsOf(study.best_params, tag) },
              { label: t("studies.trials"), value: study.trials.length, note: study.message },
              { label: t("studies.model"), value: study.model ? <RefChip id={study.model} kind="model" /> : "–" },
              ...(study.run_id ? [{ label: t("study.by"), value: <NameLink to={`/runs/${study.run_id}`}>{study.run_id.slice(-6)}</NameLink> }] : []),
            ]}
          />
          <Searched study={study} />
        </>
      )}
    </Page>
  );
}
