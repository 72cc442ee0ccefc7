/** Settings and newest values of runs side by side; lines in which they differ are marked. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { duration, number } from "../format";
import { useSpeech } from "../i18n";
import parts from "../parts/parts.module.css";
import { StateBadge, When } from "../parts/words";
import type { Value } from "../charts/axes";
import type { Compared } from "./compare";
import css from "./compare.module.css";
import { bare, isMetric, toldRows, type ToldRow } from "./told";

/** Beside each other, more cannot be read. */
const MOST_RUNS = 40;

function Cell({ value }: { value: Value | undefined }) {
  const { tag } = useSpeech();
  if (value === undefined || value === null) return <>–</>;
  return typeof value === "number" ? <span title={String(value)}>{number(value, tag, 6)}</span> : <span className="mono">{value}</span>;
}

function Row({ row }: { row: ToldRow }) {
  const { t } = useSpeech();
  return (
    <tr data-differs={row.differs}>
      <th scope="row">
        {row.differs && <span className={css.mark} role="img" aria-label={t("compare.differs")} title={t("compare.differs")}>≠</span>}
        {bare(row.name)}
      </th>
      {row.values.map((value, i) => <td key={i}><Cell value={value} /></td>)}
    </tr>
  );
}

export function CompareTable({ runs: all, onlyDiffering }: { runs: Compared[]; onlyDiffering: boolean }) {
  const { t } = useSpeech();
  const runs = all.slice(0, MOST_RUNS);
  const rows = toldRows(runs.map(({ values }) => values)).filter(({ differs }) => differs || !onlyDiffering);
  const sections: [string, ToldRow[]][] = [
    [t("word.parameters"), rows.filter(({ name }) => !isMetric(name))],
    [t("compare.newest"), rows.filter(({ name }) => isMetric(name))],
  ];
  const facts: [string, (one: Compared) => ReactNode][] = [
    [t("word.state"), ({ run }) => <StateBadge state={run.state} />],
    [t("word.created"), ({ run }) => <When time={run.created_at} />],
    [t("word.duration"), ({ run }) => duration(run.started_at, run.ended_at)],
    [t("word.submittedBy"), ({ run }) => run.submitted_by],
  ];
  return (
    <div className={`${parts.scroll} ${css.scroll}`}>
      <table className={`${parts.table} ${css.table}`} aria-label={t("compare.table")}>
        <thead>
          <tr>
            <td />
            {runs.map(({ id, name, tone }) => (
              <th key={id} scope="col">
                <Link to="/runs/$id" params={{ id }} className={css.column}><i style={{ background: tone }} />{name}</Link>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {facts.map(([name, write]) => (
            <tr key={name}><th scope="row">{name}</th>{runs.map((one) => <td key={one.id} className={css.fact}>{write(one)}</td>)}</tr>
          ))}
        </tbody>
        {sections.filter(([, lines]) => lines.length > 0).map(([title, lines]) => (
          <tbody key={title}>
            <tr className={css.section}><th scope="rowgroup">{title}</th><td colSpan={runs.length} /></tr>
            {lines.map((row) => <Row key={row.name} row={row} />)}
          </tbody>
        ))}
      </table>
      {all.length > MOST_RUNS && <p className={css.none} style={{ padding: "0 20px" }}>{t("compare.firstRuns", { n: MOST_RUNS })}</p>}
    </div>
  );
}
