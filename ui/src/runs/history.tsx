/** The newest runs of the project along time: when each waited and when it worked. */
import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { runsPage } from "../api/queries";
import type { RunState } from "../api/types";
import { duration, moment } from "../format";
import { useSpeech } from "../i18n";
import { Panel, RowsSkeleton } from "../parts/page";
import parts from "../parts/parts.module.css";
import { Empty, NameLink, Problem, StateBadge } from "../parts/words";
import { type Bar, historyOf } from "./spans";
import css from "./runs.module.css";
import { titleOf } from "./told";

const TONES: Record<RunState, string> = {
  queued: "var(--faint)", running: "var(--noun-endpoints)", succeeded: "var(--good)", failed: "var(--bad)", cancelled: "var(--faint)",
};
const COUNTS = ["15", "40", "100"] as const;
const LEAST = 0.004;

function Row({ bar: { run, asked, started, ended } }: { bar: Bar }) {
  const { t, say } = useSpeech();
  const begun = started ?? ended;
  const [waited, took] = [duration(run.created_at, run.started_at ?? run.ended_at), duration(run.started_at, run.ended_at)];
  const words = t("compute.span", { waited, took });
  const percent = (share: number) => `${(share * 100).toFixed(2)}%`;
  return (
    <tr>
      <td><NameLink to={`/runs/${run.id}`}>{titleOf(run, say)}</NameLink></td>
      <td><StateBadge state={run.state} /></td>
      <td className={css.track}>
        <div role="img" aria-label={words} title={words}>
          {begun > asked && <i className={css.waited} style={{ left: percent(asked), width: percent(begun - asked) }} />}
          {started !== null && <i style={{ left: percent(Math.min(started, 1 - LEAST)), width: percent(Math.max(ended - started, LEAST)), background: TONES[run.state] }} />}
        </div>
      </td>
      <td className={parts.numeric}>{waited}</td>
      <td className={parts.numeric}>{took}</td>
    </tr>
  );
}

export function RunHistory() {
  const { t, tag } = useSpeech();
  const [count, setCount] = useState<string>(COUNTS[0]);
  const { data, error, refetch, dataUpdatedAt } = useQuery(runsPage({ state: null, filter: "", order: "", columns: [] }, 0));
  const history = historyOf(data?.items.slice(0, Number(count)) ?? [], dataUpdatedAt || Date.now());
  const side = <SegmentedControl size="xs" aria-label={t("compute.howMany")} value={count} onChange={setCount} data={[...COUNTS]} />;
  return (
    <Panel flush title={t("compute.history")} hint={t("compute.historyHint")} side={side}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <RowsSkeleton />}
      {data?.items.length === 0 && <Empty icon="runs" title={t("runs.empty")} text="" />}
      {history.bars.length > 0 && (
        <div className={parts.scroll}>
          <table className={parts.table} aria-label={t("compute.history")}>
            <thead>
              <tr>
                <th>{t("word.run")}</th>
                <th>{t("word.state")}</th>
                <th className={css.trackHead}>
                  <span>{moment(new Date(history.from).toISOString(), tag)}</span>
                  <span>{moment(new Date(history.to).toISOString(), tag)}</span>
                </th>
                <th className={parts.numeric}>{t("compute.waited")}</th>
                <th className={parts.numeric}>{t("word.duration")}</th>
              </tr>
            </thead>
            <tbody>{history.bars.map((bar) => <Row key={bar.run.id} bar={bar} />)}</tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
