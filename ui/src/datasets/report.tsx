/** What made this version: how its file was read, what each cleaning step changed, which rows were refused. */
import { Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { report } from "../api/queries";
import type { Report, StepReport } from "../api/types";
import { cell, number } from "../format";
import { isKey, useSpeech } from "../i18n";
import { Facts, Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Code, Problem } from "../parts/words";
import { writeRecipe } from "./recipe";
import own from "./report.module.css";

/** By column: how many cells changed and what was calculated from the data. */
function ByColumn({ step }: { step: StepReport }) {
  const { t, tag, say } = useSpeech();
  const columns = step.columns.filter((name) => step.changed[name] || step.fitted[name]);
  if (columns.length === 0) return null;
  const learned = (name: string) => Object.entries(step.fitted[name] ?? {}).map(([key, value]) => `${say("choice", key)} ${cell(value, tag)}`);
  return (
    <details className={own.columns}>
      <summary>{t("report.byColumn")}</summary>
      <dl>
        {columns.map((name) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{[...(step.changed[name] ? [t("report.cells", { n: step.changed[name] })] : []), ...learned(name)].join(" · ")}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function StepLine({ step, index }: { step: StepReport; index: number }) {
  const { t, tag, say } = useSpeech();
  const dropped = step.rows_before - step.rows_after;
  return (
    <li className={own.step}>
      <span className={own.index}>{index + 1}</span>
      <div>
        <b>{say("step", step.step)}</b>
        <p>{step.summary}</p>
        <ByColumn step={step} />
      </div>
      <div className={own.change}>
        {dropped > 0 && <span className={own.dropped}>{t("report.rowsChange", { before: number(step.rows_before, tag), after: number(step.rows_after, tag) })}</span>}
        {step.cells_changed > 0 && <span>{t("report.cells", { n: step.cells_changed })}</span>}
      </div>
    </li>
  );
}

function Rejected({ data }: { data: Report }) {
  const { t, tag } = useSpeech();
  if (data.rejected_total === 0) return <p className={own.quiet}>{t("report.noRejected")}</p>;
  return (
    <>
      <div className={css.scroll} style={{ maxHeight: 360, overflowY: "auto" }}>
        <table className={css.table} aria-label={t("report.rejected")}>
          <thead>
            <tr>
              <th className={css.numeric} style={{ width: 90 }}>{t("word.line")}</th>
              <th>{t("word.reason")}</th>
            </tr>
          </thead>
          <tbody>
            {data.rejected.map(({ line, reason }, i) => (
              <tr key={i}>
                <td className={css.numeric}>{number(line, tag)}</td>
                <td>{reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {data.rejected_total > data.rejected.length && <p className={own.quiet}>{t("report.rejectedMore", { n: data.rejected_total - data.rejected.length })}</p>}
    </>
  );
}

function Detected({ detected }: { detected: NonNullable<Report["detected"]> }) {
  const { t } = useSpeech();
  const names: Record<string, string> = {};
  for (const name of Object.keys(detected)) {
    const key = `import.${name}`;
    names[name] = isKey(key) ? t(key) : name;
  }
  const show = (name: string, value: unknown) => {
    if (value === "\t") return t("import.tab");
    if (name === "header" && typeof value === "boolean") return value ? t("import.headerYes") : t("import.headerNo");
    return <span className="mono">{String(value)}</span>;
  };
  const known = Object.entries(detected).filter(([, value]) => value !== null);
  return <Facts facts={known.map(([name, value]) => [names[name] ?? name, show(name, value)])} />;
}

export function ReportTab({ reference }: { reference: string }) {
  const { t } = useSpeech();
  const { data, error, refetch } = useQuery(report(reference));
  if (error) return <Problem error={error} onRetry={() => void refetch()} />;
  if (!data) return <Panel><RowsSkeleton /></Panel>;
  const imported = data.made_by === "import";
  return (
    <Stack gap="md">
      {data.steps.length > 0 && (
        <Panel title={t("report.steps")}>
          <ol className={own.steps}>{data.steps.map((step, i) => <StepLine key={i} step={step} index={i} />)}</ol>
        </Panel>
      )}
      {data.steps.length === 0 && !imported && <Panel title={t("report.steps")}><p className={own.quiet}>{t("report.noSteps")}</p></Panel>}
      {data.detected && <Panel title={t("report.detected")}><Detected detected={data.detected} /></Panel>}
      {(imported || data.rejected_total > 0) && (
        <Panel title={t("report.rejected")} flush={data.rejected_total > 0}><Rejected data={data} /></Panel>
      )}
      {data.recipe && <Panel title={t("report.recipe")}><Code text={writeRecipe(data.recipe)} wrap /></Panel>}
    </Stack>
  );
}
