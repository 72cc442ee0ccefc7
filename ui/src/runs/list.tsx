/** All runs, newest first, refreshed while one is unfinished. */
import { Progress, SegmentedControl, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { isOpen, runs } from "../api/queries";
import type { Run } from "../api/types";
import { duration, percent } from "../format";
import { useSpeech } from "../i18n";
import { Page, Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Empty, NameLink, Problem, RefChip, StateBadge, When } from "../parts/words";

const STATES = ["queued", "running", "succeeded", "failed", "cancelled"] as const;

function RunRow({ run }: { run: Run }) {
  const { t, tag, say } = useSpeech();
  return (
    <tr>
      <td>
        <NameLink to={`/runs/${run.id}`}>{run.params.name ? String(run.params.name) : say("task", run.task)}</NameLink>
        <div className="mono" style={{ color: "var(--faint)", fontSize: 11.5 }}>{run.id}</div>
      </td>
      <td style={{ minWidth: 150 }}>
        <StateBadge state={run.state} />
        {run.state === "running" && (
          <Progress mt={7} size={4} value={run.progress * 100} aria-label={`${t("runs.progress")} ${percent(run.progress, tag)}`} />
        )}
      </td>
      <td>
        <span style={{ display: "flex", gap: 6, flexWrap: "wrap" }}>
          {run.inputs.length === 0 && "–"}
          {run.inputs.map((input) => <RefChip key={input} id={input} kind="dataset" />)}
        </span>
      </td>
      <td>
        <span style={{ display: "flex", gap: 6, flexWrap: "wrap" }}>
          {run.outputs.length === 0 && "–"}
          {run.outputs.map((output) => <RefChip key={output} id={output} />)}
        </span>
      </td>
      <td className={css.numeric}>{run.workers}</td>
      <td className={css.numeric}>{run.started_at ? duration(run.started_at, run.ended_at) : "–"}</td>
      <td className={css.quiet}><When time={run.created_at} /></td>
    </tr>
  );
}

export function RunList() {
  const { t } = useSpeech();
  const { state, filter: wanted } = useSearch({ from: "/shell/runs" });
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery(runs(state ?? null, wanted));
  const [typed, setTyped] = useState(wanted ?? "");
  const search = (event: SyntheticEvent) => {
    event.preventDefault();
    void navigate({ to: "/runs", search: { state, filter: typed.trim() || undefined } });
  };
  const filter = (
    <SegmentedControl
      size="xs" withItemsBorders={false} aria-label={t("runs.filter")} value={state ?? "all"} onChange={(next) => void navigate({ to: "/runs", search: { state: next === "all" ? undefined : next, filter: wanted } })}
      data={[{ value: "all", label: t("word.all") }, ...STATES.map((value) => ({ value, label: t(`state.${value}`) }))]}
    />
  );
  const open = data?.items.filter(isOpen).length ?? 0;
  return (
    <Page title={t("nav.runs")} lead={t("runs.lead")}>
      <div style={{ display: "flex", flexWrap: "wrap", gap: 12, marginBottom: 14, alignItems: "center" }}>
        <div style={{ overflowX: "auto" }}>{filter}</div>
        <form onSubmit={search} style={{ flex: "1 1 280px" }}>
          <TextInput
            size="xs" aria-label={t("runs.search")} placeholder="metrics.loss < 0.1 and params.model = 'mlp'" value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
        </form>
      </div>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!error && (
        <>
          <Panel flush>
            {!data && <RowsSkeleton />}
            {data?.items.length === 0 &&
              (state || wanted ? (
                <Empty icon="runs" title={t("runs.noneInState")} text="" />
              ) : (
                <Empty icon="runs" title={t("runs.empty")} text={t("runs.emptyText")} command="lepton datasets import customers.csv" />
              ))}
            {data && data.items.length > 0 && (
              <div className={css.scroll}>
                <table className={css.table} aria-label={t("nav.runs")} aria-busy={open > 0}>
                  <thead>
                    <tr>
                      <th>{t("word.task")}</th>
                      <th>{t("word.state")}</th>
                      <th>{t("word.inputs")}</th>
                      <th>{t("word.outputs")}</th>
                      <th className={css.numeric}>{t("word.workers")}</th>
                      <th className={css.numeric}>{t("word.duration")}</th>
                      <th>{t("word.created")}</th>
                    </tr>
                  </thead>
                  <tbody>{data.items.map((run) => <RunRow key={run.id} run={run} />)}</tbody>
                </table>
              </div>
            )}
          </Panel>
        </>
      )}
    </Page>
  );
}
