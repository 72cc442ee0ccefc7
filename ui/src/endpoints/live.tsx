/** How an endpoint does, live: numbers of now, the last ten minutes, and how far its rows are from those of training. */
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { memo, type ReactNode, useState } from "react";

import { endpointMetrics } from "../api/queries";
import { useEndpointChanges } from "../api/stream";
import type { ColumnReport, DeploymentMetrics, Drift, EndpointDetail } from "../api/types";
import { Timeline } from "../charts/timeline";
import { latency, number, percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel, Tiles } from "../parts/page";
import parts from "../parts/parts.module.css";
import { named } from "./form";
import css from "./live.module.css";

const MODERATE_PSI = 0.1;
const MAJOR_PSI = 0.25;
/** Fewer rows change no level. */
const MIN_ROWS = 500;
/** Where the bar of a PSI is full. */
const FULL_PSI = 0.5;

function Now({ found, endpoint }: { found: DeploymentMetrics; endpoint: EndpointDetail }) {
  const { t, tag } = useSpeech();
  const ready = endpoint.replica?.workers.filter(({ state }) => state === "ready").length ?? 0;
  const answers = Object.values(found.requests).reduce((sum, count) => sum + count, 0);
  const errors = Object.entries(found.requests).reduce((sum, [status, count]) => sum + (Number(status) >= 500 ? count : 0), 0);
  return (
    <Tiles
      label={t("live.title")}
      tiles={[
        { label: t("live.throughput"), value: t("live.perSecond", { n: number(found.requests_per_s, tag, 3) }), note: t("live.answers", { n: answers }) },
        { label: t("live.median"), value: latency(found.p50_s, tag), note: t("live.lastSeconds") },
        { label: t("live.p99"), value: latency(found.p99_s, tag), note: t("live.lastSeconds") },
        {
          label: t("live.errors"), value: <span style={{ color: found.errors_per_s > 0 ? "var(--bad)" : undefined }}>{t("live.perSecond", { n: number(found.errors_per_s, tag, 3) })}</span>,
          note: t("live.errorsTotal", { n: errors }),
        },
        { label: t("live.batch"), value: number(found.mean_batch_rows, tag, 3), note: t("live.rowsTotal", { n: found.rows }) },
        { label: t("endpoints.workers"), value: number(ready, tag), note: t("live.queued", { n: found.queued }) },
      ]}
    />
  );
}

/** How much of the history to draw: whole minutes, two at least and ten at most. */
export function spanOf(times: readonly number[]): number {
  const there = (times.at(-1) ?? 0) - (times[0] ?? 0);
  return Math.min(Math.max(Math.ceil(there / 60), 2), 10) * 60;
}

function History({ found }: { found: DeploymentMetrics }) {
  const { t, tag } = useSpeech();
  const times = found.history.map(({ at_s }) => at_s);
  const span = spanOf(times);
  const lines = (pick: (point: DeploymentMetrics["history"][number]) => number | null) => found.history.map(pick);
  const milliseconds = (value: number | null) => (value === null ? null : value * 1000);
  return (
    <div className={css.charts}>
      <Timeline
        label={t("live.throughputOver")} times={times} span={span} write={(value) => number(value, tag, 3)}
        lines={[{ name: t("live.throughput"), tone: "var(--accent-fill)", values: lines((point) => point.requests_per_s) }]}
      />
      <Timeline
        label={t("live.latencyOver")} times={times} span={span} write={(value) => number(value, tag, 3)}
        lines={[
          { name: "p50", tone: "var(--accent-fill)", values: lines((point) => milliseconds(point.p50_s)) },
          { name: "p99", tone: "var(--warm)", values: lines((point) => milliseconds(point.p99_s)) },
        ]}
      />
      <Timeline
        label={t("live.errorsOver")} times={times} span={span} write={(value) => number(value, tag, 3)}
        lines={[{ name: t("live.errors"), tone: "var(--bad)", values: lines((point) => point.errors_per_s) }]}
      />
    </div>
  );
}

/** Columns that are shown at first: of a wide model the rest is a click away. */
const FIRST = 8;
/** From so many on, a column is found by its name. */
const SEARCHED = 20;

function Level({ level }: { level: Drift["level"] }) {
  const { say } = useSpeech();
  const tone = { stable: "var(--good)", moderate: "var(--warm)", major: "var(--bad)" }[level];
  return (
    <span className={parts.badge} style={{ "--tone": tone } as React.CSSProperties} data-level={level}>
      <span className={parts.dot} />
      {say("level", level)}
    </span>
  );
}

function PsiBar({ psi, level }: { psi: number; level: Drift["level"] }) {
  const tone = { stable: "var(--accent-fill)", moderate: "var(--warm)", major: "var(--bad)" }[level];
  const place = (value: number) => `${Math.min(value / FULL_PSI, 1) * 100}%`;
  return (
    <span className={css.psi}>
      <i style={{ width: place(psi), background: tone }} />
      <b style={{ left: place(MODERATE_PSI) }} />
      <b style={{ left: place(MAJOR_PSI) }} />
    </span>
  );
}

/** Remembered, as of a thousand columns few change at a time. */
const DriftRow = memo(function DriftRow({ column }: { column: ColumnReport }) {
  const { t, tag } = useSpeech();
  const drift = column.last_hour;
  const blank = drift === null || drift.rows === 0;
  return (
    <tr>
      <td><span className={css.column}>{column.name}</span></td>
      <td><Level level={column.level} /></td>
      {blank && <td colSpan={6} className={parts.quiet}>{drift === null ? t("live.hidden") : t("live.noRows")}</td>}
      {!blank && (
        <>
          <td style={{ minWidth: 130 }}><PsiBar psi={drift.psi} level={column.level} /></td>
          <td className={css.figure}>{drift.psi.toLocaleString(tag, { minimumFractionDigits: 3, maximumFractionDigits: 3 })}</td>
          <td className={css.figure}>{number(drift.ks, tag, 2)}</td>
          <td className={css.figure}>{number(drift.wasserstein, tag, 3)}</td>
          <td className={css.figure}>{percent(drift.missing_share, tag)}</td>
          <td className={css.figure}>{drift.unseen_share === null ? "–" : percent(drift.unseen_share, tag)}</td>
        </>
      )}
    </tr>
  );
});

/** The columns that moved most come first. */
export function byDrift(columns: readonly ColumnReport[]): ColumnReport[] {
  const rank = { stable: 0, moderate: 1, major: 2 };
  return [...columns].sort((a, b) => rank[b.level] - rank[a.level] || (b.last_hour?.psi ?? 0) - (a.last_hour?.psi ?? 0));
}

function DriftTable({ columns, bounded }: { columns: readonly ColumnReport[]; bounded: boolean }) {
  const { t } = useSpeech();
  return (
    // A scrolling region has to be reachable by keyboard.
    <div className={`${parts.scroll} ${bounded ? parts.bounded : ""}`} tabIndex={bounded ? 0 : undefined} role={bounded ? "region" : undefined} aria-label={bounded ? t("live.drift") : undefined}>
      <table className={parts.table} aria-label={t("live.drift")}>
        <thead>
          <tr>
            <th>{t("word.column")}</th>
            <th>{t("live.level")}</th>
            <th colSpan={2}>PSI</th>
            <th className={css.figure}>KS</th>
            <th className={css.figure}>{t("live.movedBy")}</th>
            <th className={css.figure}>{t("live.missing")}</th>
            <th className={css.figure}>{t("live.unseen")}</th>
          </tr>
        </thead>
        <tbody>
          {columns.map((column) => <DriftRow key={column.name} column={column} />)}
        </tbody>
      </table>
    </div>
  );
}

function DriftPanel({ drift }: { drift: Drift }) {
  const { t } = useSpeech();
  const [all, setAll] = useState(false);
  const [text, setText] = useState("");
  const columns = byDrift(drift.columns);
  const found = text ? named(columns, text) : columns;
  const shown = all ? found : found.slice(0, FIRST);
  const counted = drift.counted === drift.seen ? t("live.counted", { n: drift.counted }) : t("live.countedOf", { n: drift.counted, seen: drift.seen });
  const hints = [t("live.driftHint", { n: drift.rows }), counted];
  if (drift.rows < MIN_ROWS) hints.push(t("live.tooFew", { n: MIN_ROWS }));
  return (
    <Panel flush title={t("live.drift")} hint={hints.join(" ")} side={<Level level={drift.level} />}>
      {columns.length > SEARCHED && (
        <TextInput
          className={css.find} size="sm" aria-label={t("profile.find")} placeholder={t("profile.find")} leftSection={<Icon name="search" size={16} />} value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      {found.length === 0 ? <p className={css.none}>{t("profile.noMatch")}</p> : <DriftTable columns={shown} bounded={shown.length > SEARCHED} />}
      {found.length > FIRST && (
        <Button variant="subtle" color="gray" m={8} aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? t("live.fewer") : t("live.allColumns", { n: found.length })}
        </Button>
      )}
    </Panel>
  );
}

/** `children` stand below what the endpoint does now, above what it has done and how its rows have moved. */
export function Live({ endpoint, children }: { endpoint: EndpointDetail; children: ReactNode }) {
  const { t } = useSpeech();
  const { data } = useQuery(endpointMetrics(endpoint.name, useEndpointChanges(endpoint.name)));
  const [chosen, setChosen] = useState<string | null>(null);
  const found = data?.deployments.find(({ model }) => model === chosen) ?? data?.deployments[0];
  const several = data && data.deployments.length > 1;
  return (
    <div className={css.live}>
      {several && found && <SegmentedControl aria-label={t("word.model")} value={found.model} onChange={setChosen} data={data.deployments.map(({ model }) => model)} style={{ justifySelf: "start" }} />}
      {found && <Now found={found} endpoint={endpoint} />}
      {children}
      {found && found.history.length > 1 && Object.keys(found.requests).length > 0 && <Panel title={t("live.tenMinutes")}><History found={found} /></Panel>}
      {found?.drift && found.drift.columns.length > 0 && <DriftPanel drift={found.drift} />}
    </div>
  );
}
