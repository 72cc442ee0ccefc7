/** What a search among candidates found: in words, who did how well, what matters, how sure it is, where it fails. */
import { Button } from "@mantine/core";
import { type ReactNode, useState } from "react";

import type { Certainty, Plot } from "../api/types";
import { compact, number, percent } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { saidOf } from "./told";

type Data<K extends Plot["kind"]> = Extract<Plot, { kind: K }>["data"];

const FEW = 12;

export function Report({ sentences, told }: Data<"report">) {
  const { t, language } = useSpeech();
  return (
    <ul className={css.sentences} aria-label={t("plot.report")}>
      {sentences.map((sentence, i) => <li key={sentence}>{saidOf(told?.[i], sentence, t, language === "en")}</li>)}
    </ul>
  );
}

interface GridProps {
  label: string;
  heads: string[];
  rows: ReactNode[][];
}

/** The first cell of a row names it. */
function Grid({ label, heads, rows }: GridProps) {
  const { t } = useSpeech();
  const [all, setAll] = useState(false);
  return (
    <div style={{ overflowX: "auto" }}>
      <table className={css.terms} aria-label={label}>
        <thead>
          <tr>{heads.map((head, i) => <th key={head} scope="col" style={i === 0 ? { textAlign: "left" } : undefined}>{head}</th>)}</tr>
        </thead>
        <tbody>
          {(all ? rows : rows.slice(0, FEW)).map(([name, ...cells], i) => (
            <tr key={i}>
              <th scope="row">{name}</th>
              {cells.map((cell, j) => <td key={j}>{cell}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > FEW && (
        <Button size="compact-xs" variant="subtle" mt={10} onClick={() => setAll(!all)}>
          {all ? t("do.showLess") : t("do.showMore", { n: rows.length })}
        </Button>
      )}
    </div>
  );
}

export function Leaderboard({ metric, names, scores, spreads, seconds, weights }: Data<"leaderboard">) {
  const { t, tag } = useSpeech();
  const rows = names.map((name, i) => {
    const weight = weights[i] ?? 0;
    return [name, compact(scores[i] ?? 0, tag), `± ${compact(spreads[i] ?? 0, tag)}`, compact(seconds[i] ?? 0, tag), weight > 0 ? percent(weight, tag) : "–"];
  });
  return <Grid label={t("plot.leaderboard")} heads={[t("plot.candidate"), metric, t("plot.spread"), t("plot.seconds"), t("plot.share")]} rows={rows} />;
}

export function Importance({ names, values, spreads }: Data<"importance">) {
  const { t, tag } = useSpeech();
  const [all, setAll] = useState(false);
  const most = Math.max(...values.map((value, i) => value + (spreads[i] ?? 0)), 1e-12);
  const shown = all ? names : names.slice(0, FEW);
  return (
    <>
      <div className={css.diverging} role="list" aria-label={t("plot.importance")}>
        {shown.map((name, i) => {
          const [value, spread] = [Math.max(values[i] ?? 0, 0), spreads[i] ?? 0];
          const low = Math.max(value - spread, 0);
          return (
            <div className={css.divergingRow} role="listitem" key={name}>
              <span className={css.barName} title={name}>{name}</span>
              <span className={css.importanceTrack}>
                <i style={{ left: 0, width: `${(value / most) * 100}%`, background: "var(--accent-fill)" }} />
                <b style={{ left: `${(low / most) * 100}%`, width: `${((value + spread - low) / most) * 100}%` }} />
              </span>
              <span className={css.barValue} title={`${values[i]} ± ${spread}`}>{compact(values[i] ?? 0, tag)}</span>
            </div>
          );
        })}
      </div>
      {names.length > FEW && (
        <Button size="compact-xs" variant="subtle" mt={10} onClick={() => setAll(!all)}>
          {all ? t("do.showLess") : t("do.showMore", { n: names.length })}
        </Button>
      )}
    </>
  );
}

export function Sureness({ found }: { found: Certainty }) {
  const { t, tag } = useSpeech();
  if (found.task === "number") {
    const signed = (value: number) => `${value >= 0 ? "+" : "−"}${compact(Math.abs(value), tag)}`;
    const rows = found.levels.map((level, i) => [percent(level, tag), `${signed(found.lows[i] ?? 0)} … ${signed(found.highs[i] ?? 0)}`]);
    return <Grid label={t("plot.certainty")} heads={[t("plot.rowsOf"), t("plot.truthLies")]} rows={rows} />;
  }
  const rows = found.lows.map((low, i) => [
    `${percent(low, tag)} – ${percent(found.highs[i] ?? 1, tag)}`, percent(found.right[i] ?? 0, tag), number(found.counts[i] ?? 0, tag),
  ]);
  return <Grid label={t("plot.certainty")} heads={[t("plot.sure"), t("plot.right"), t("word.rows")]} rows={rows} />;
}

export function Failures({ metric, columns, parts, places, counts, scores, others }: Data<"failures">) {
  const { t, tag } = useSpeech();
  if (columns.length === 0) return <p className={css.facts}>{t("plot.noFailures")}</p>;
  const share = metric.startsWith("share");
  const shown = (value: number) => (share ? percent(value, tag) : compact(value, tag));
  const called = (i: number) => {
    const [name, part, n] = [columns[i] ?? "", parts[i], (places[i] ?? 0) + 1];
    if (part === "low") return t("plot.lowest", { name });
    if (part === "high") return t("plot.highest", { name });
    if (part === "named") return name;
    return part === "category" ? t("plot.categoryOf", { name, n }) : t("plot.valueOf", { name, n });
  };
  const rows = columns.map((_, i) => [called(i), number(counts[i] ?? 0, tag), shown(scores[i] ?? 0), shown(others[i] ?? 0)]);
  return <Grid label={t("plot.failures")} heads={[t("plot.part"), t("word.rows"), t("plot.there"), t("plot.elsewhere")]} rows={rows} />;
}
