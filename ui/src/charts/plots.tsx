/** The plots a model version carries, drawn as SVG from the numbers the server kept. */
import { Button } from "@mantine/core";
import { useState } from "react";

import type { Plot, Scalar } from "../api/types";
import { compact, number, percent } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { padded, path, Plane } from "./plane";
import { Failures, Importance, Leaderboard, Report, Sureness } from "./search";
import { extent, thin } from "./scale";

const MOST_POINTS = 1_500;

type Data<K extends Plot["kind"]> = Extract<Plot, { kind: K }>["data"];

function Roc({ fpr, tpr }: Data<"roc">) {
  const { t } = useSpeech();
  const at = thin(fpr.map((_, i) => i), 600);
  const [xs, ys] = [at.map((i) => fpr[i] ?? 0), at.map((i) => tpr[i] ?? 0)];
  return (
    <Plane label={t("plot.roc")} x={[0, 1]} y={[0, 1.02]} xTitle={t("plot.falsePositive")} yTitle={t("plot.truePositive")}>
      {(scales) => (
        <>
          <path className={css.area} d={`${path(xs, ys, scales)}L${scales.x(1)} ${scales.y(0)}L${scales.x(0)} ${scales.y(0)}Z`} />
          <path className={css.guide} d={path([0, 1], [0, 1], scales)} />
          <path className={css.line} d={path(xs, ys, scales)} />
        </>
      )}
    </Plane>
  );
}

interface DotsProps {
  label: string;
  xs: number[];
  ys: number[];
  titles: [string, string];
  guide: "zero" | "diagonal";
}

function Dots({ label, xs, ys, titles, guide }: DotsProps) {
  const at = thin(xs.map((_, i) => i), MOST_POINTS);
  const both = guide === "diagonal" ? extent([...xs, ...ys]) : null;
  const x = padded(both ?? extent(xs));
  const y = padded(both ?? extent([...ys, 0]));
  return (
    <Plane label={label} x={x} y={y} xTitle={titles[0]} yTitle={titles[1]}>
      {(scales) => (
        <>
          {at.map((i) => (
            <circle key={i} className={css.dot} cx={scales.x(xs[i] ?? 0)} cy={scales.y(ys[i] ?? 0)} r={at.length > 400 ? 2.2 : 3.2} />
          ))}
          <path className={css.guide} d={guide === "zero" ? path(x, [0, 0], scales) : path(x, x, scales)} />
        </>
      )}
    </Plane>
  );
}

function Calibration({ predicted, observed, counts }: Data<"calibration">) {
  const { t } = useSpeech();
  const most = Math.max(...counts, 1);
  return (
    <Plane label={t("plot.calibration")} x={[0, 1]} y={[0, 1.02]} xTitle={t("plot.predictedAxis")} yTitle={t("plot.observed")}>
      {(scales) => (
        <>
          <path className={css.guide} d={path([0, 1], [0, 1], scales)} />
          <path className={css.line} d={path(predicted, observed, scales)} />
          {predicted.map((value, i) => (
            <circle key={i} cx={scales.x(value)} cy={scales.y(observed[i] ?? 0)} r={3 + 5 * Math.sqrt((counts[i] ?? 0) / most)} fill="var(--accent-fill)" stroke="var(--surface)" strokeWidth={1.5} />
          ))}
        </>
      )}
    </Plane>
  );
}

function Confusion({ classes, counts }: { classes: Scalar[]; counts: number[][] }) {
  const { t, tag } = useSpeech();
  return (
    <div style={{ overflowX: "auto" }}>
      <table className={css.confusion} data-few={classes.length <= 3} aria-label={t("plot.confusion")}>
        <thead>
          <tr>
            <td className={css.corner} />
            <td className={css.corner} />
            <th scope="colgroup" colSpan={classes.length} className={css.side}>{t("plot.predictedAxis")}</th>
          </tr>
          <tr>
            <td className={css.corner} />
            <td className={css.corner} />
            {classes.map((name) => <th key={String(name)} scope="col" title={String(name)}>{String(name)}</th>)}
          </tr>
        </thead>
        <tbody>
          {classes.map((name, i) => {
            const total = (counts[i] ?? []).reduce((sum, count) => sum + count, 0);
            return (
              <tr key={String(name)}>
                {i === 0 && <th scope="rowgroup" rowSpan={classes.length} className={css.side}>{t("plot.true")}</th>}
                <th scope="row" title={String(name)}>{String(name)}</th>
                {(counts[i] ?? []).map((count, j) => {
                  const share = total ? count / total : 0;
                  const tone = i === j ? "var(--accent-fill)" : "var(--warm)";
                  const strength = count === 0 ? 0 : 10 + share * 82;
                  return (
                    <td key={j} style={{ background: count === 0 ? "var(--sunken)" : `color-mix(in srgb, ${tone} ${strength}%, var(--surface))`, color: strength > 75 ? "#0c1112" : count === 0 ? "var(--faint)" : undefined }}>
                      {number(count, tag)}
                      <small>{percent(share, tag)}</small>
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Coefficients({ names, values }: Data<"coefficients">) {
  const { t, tag } = useSpeech();
  const [all, setAll] = useState(false);
  const sorted = names.map((name, i) => ({ name, value: values[i] ?? 0 })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const most = Math.abs(sorted[0]?.value ?? 1) || 1;
  const shown = all ? sorted : sorted.slice(0, 12);
  return (
    <>
      <div className={css.diverging} role="list" aria-label={t("plot.coefficients")}>
        {shown.map(({ name, value }) => {
          const half = (Math.abs(value) / most) * 50;
          return (
            <div className={css.divergingRow} role="listitem" key={name}>
              <span className={css.barName} title={name}>{name}</span>
              <span className={css.divergingTrack}>
                <i style={{ left: value < 0 ? `${50 - half}%` : "50%", width: `${half}%`, background: value < 0 ? "var(--warm)" : "var(--accent-fill)" }} />
              </span>
              <span className={css.barValue} title={String(value)}>{compact(value, tag)}</span>
            </div>
          );
        })}
      </div>
      {sorted.length > 12 && (
        <Button size="compact-xs" variant="subtle" mt={10} onClick={() => setAll(!all)}>
          {all ? t("do.showLess") : t("do.showMore", { n: sorted.length })}
        </Button>
      )}
    </>
  );
}

const FEW_TERMS = 12;

function Summary({ terms, facts, notes }: Data<"summary">) {
  const { t, tag } = useSpeech();
  const [all, setAll] = useState(false);
  const shown = (value: number | null) => (value === null ? "" : compact(value, tag));
  return (
    <div style={{ overflowX: "auto" }}>
      <table className={css.terms} aria-label={t("plot.summary")}>
        <thead>
          <tr>
            <td />
            <th scope="col">{t("plot.estimate")}</th>
            <th scope="col">{t("plot.error")}</th>
            <th scope="col">p</th>
            <th scope="col">95%</th>
          </tr>
        </thead>
        <tbody>
          {(all ? terms : terms.slice(0, FEW_TERMS)).map((term) => (
            <tr key={`${term.of} ${term.name}`}>
              <th scope="row">{term.of ? `${term.of}: ${term.name}` : term.name}</th>
              <td title={String(term.estimate)}>{compact(term.estimate, tag)}</td>
              <td>{shown(term.error)}</td>
              <td>{shown(term.p)}</td>
              <td>{term.low !== null && term.high !== null && `${shown(term.low)} … ${shown(term.high)}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {terms.length > FEW_TERMS && (
        <Button size="compact-xs" variant="subtle" mt={10} onClick={() => setAll(!all)}>
          {all ? t("do.showLess") : t("do.showMore", { n: terms.length })}
        </Button>
      )}
      <p className={css.facts}>{Object.entries(facts).map(([name, value]) => `${name} ${compact(value, tag)}`).join(" · ")}</p>
      {notes.map((note) => <p className={css.facts} key={note}>{note}</p>)}
    </div>
  );
}

/** Draw any plot of a model version. */
export function ModelPlot({ plot }: { plot: Plot }) {
  const { t } = useSpeech();
  switch (plot.kind) {
    case "roc":
      return <Roc {...plot.data} />;
    case "confusion":
      return <Confusion {...plot.data} />;
    case "coefficients":
      return <Coefficients {...plot.data} />;
    case "summary":
      return <Summary {...plot.data} />;
    case "calibration":
      return <Calibration {...plot.data} />;
    case "residuals":
      return <Dots label={t("plot.residuals")} xs={plot.data.predicted} ys={plot.data.residual} titles={[t("plot.predictedAxis"), t("plot.residualAxis")]} guide="zero" />;
    case "predicted":
      return (
        <Dots label={t("plot.predicted")} xs={plot.data.actual ?? plot.data.observed ?? []} ys={plot.data.predicted} titles={[t("plot.true"), t("plot.predictedAxis")]} guide="diagonal" />
      );
    case "report":
      return <Report {...plot.data} />;
    case "leaderboard":
      return <Leaderboard {...plot.data} />;
    case "importance":
      return <Importance {...plot.data} />;
    case "certainty":
      return <Sureness found={plot.data} />;
    case "failures":
      return <Failures {...plot.data} />;
    default:
      return null;
  }
}
