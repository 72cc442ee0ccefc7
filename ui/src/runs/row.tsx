/**
 * One run in the list: all rows are as high, so that what is out of sight need not be drawn. Plain elements, as many rows come and go
 * while one scrolls: boxes and tooltips of Mantine took most of the time.
 */
import { Progress, Skeleton } from "@mantine/core";
import { memo } from "react";

import type { Run, Scalar } from "../api/types";
import { ago, duration, moment, number, percent } from "../format";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/en";
import { NameLink, StateBadge } from "../parts/words";
import css from "./list.module.css";
import { bare, titleOf } from "./told";

export const ROW_PX = 53;

/** The columns that are always there, and what they are sorted by. */
export const HEAD_FIELDS: { word: Key; field: string | null; numeric: boolean }[] = [
  { word: "word.state", field: "state", numeric: false },
  { word: "word.created", field: "created_at", numeric: false },
  { word: "word.duration", field: null, numeric: true },
];

function Cell({ value }: { value: Scalar | undefined }) {
  const { tag } = useSpeech();
  if (value === undefined || value === null || value === "") return <>–</>;
  return typeof value === "number" ? <span title={String(value)}>{number(value, tag, 5)}</span> : <span title={String(value)}>{String(value)}</span>;
}

interface RunRowProps {
  place: number;
  /** Undefined while it is on its way. */
  run: Run | undefined;
  columns: string[];
  chosen: boolean;
  onChoose: (ids: string[], on: boolean) => void;
}

export const RunRow = memo(function RunRow({ place, run, columns, chosen, onChoose }: RunRowProps) {
  const { t, tag, say } = useSpeech();
  if (!run) {
    return <tr aria-rowindex={place} aria-busy="true" style={{ height: ROW_PX }}><td /><td colSpan={5 + columns.length}><Skeleton height={14} width="70%" /></td></tr>;
  }
  const name = titleOf(run, say);
  return (
    <tr aria-rowindex={place} data-chosen={chosen} style={{ height: ROW_PX }}>
      <td className={css.tick}>
        <input type="checkbox" className={css.check} aria-label={t("runs.choose", { name })} checked={chosen} onChange={(event) => onChoose([run.id], event.currentTarget.checked)} />
      </td>
      <td>
        <div className={css.name}><NameLink to={`/runs/${run.id}`}>{name}</NameLink></div>
        <div className={`mono ${css.id}`}>{run.id}</div>
      </td>
      <td className={css.state}>
        <StateBadge state={run.state} />
        {run.state === "running" && <Progress mt={5} size={3} value={run.progress * 100} aria-label={`${t("runs.progress")} ${percent(run.progress, tag)}`} />}
      </td>
      <td className={css.quiet}><time dateTime={run.created_at} title={moment(run.created_at, tag)}>{ago(run.created_at, tag)}</time></td>
      <td className={css.numeric}>{run.started_at ? duration(run.started_at, run.ended_at) : "–"}</td>
      {columns.map((column) => {
        const own = column.startsWith("params.") ? run.params[bare(column)] : undefined;
        return <td key={column} className={`${css.numeric} ${css.value}`}><Cell value={run.columns[column] ?? own} /></td>;
      })}
      <td className={css.made} title={run.outputs.join(", ")}>{run.outputs.length === 0 ? "–" : run.outputs.map((output) => output.slice(output.indexOf(":") + 1)).join(", ")}</td>
    </tr>
  );
});
