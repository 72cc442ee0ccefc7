/** The studies of the project, below its models; nothing as long as there are none. */
import { useQuery } from "@tanstack/react-query";

import { isSearching, studies } from "../api/queries";
import type { StudySummary } from "../api/types";
import { compact } from "../format";
import { type Translate, useSpeech } from "../i18n";
import { Panel } from "../parts/page";
import css from "../parts/parts.module.css";
import { NameLink, RefChip } from "../parts/words";

/** What a study is for, in words. */
export function goalOf({ metric, directions }: StudySummary, t: Translate): string {
  const name = metric || t("studies.value");
  return directions[0] === "maximize" ? t("studies.highest", { name }) : t("studies.lowest", { name });
}

/** Settings on one line. */
export function settingsOf(params: StudySummary["best_params"], tag: string): string {
  return Object.entries(params).map(([name, value]) => `${name} ${typeof value === "number" ? compact(value, tag) : String(value)}`).join(", ");
}

export function StudiesPanel() {
  const { t, tag } = useSpeech();
  const { data } = useQuery(studies());
  if (!data?.items.length) return null;
  return (
    <Panel flush title={t("studies.title")} hint={t("studies.hint")}>
      <div className={css.scroll}>
        <table className={css.table} aria-label={t("studies.title")}>
          <thead>
            <tr>
              <th>{t("word.name")}</th>
              <th className={css.numeric}>{t("studies.trials")}</th>
              <th>{t("studies.goal")}</th>
              <th className={css.numeric}>{t("studies.best")}</th>
              <th>{t("studies.with")}</th>
              <th>{t("studies.model")}</th>
            </tr>
          </thead>
          <tbody>
            {data.items.map((study) => (
              <tr key={`${study.journal}/${study.name}`}>
                <td><NameLink to={`/models/studies/${encodeURIComponent(study.name)}`}>{study.name}</NameLink></td>
                <td className={css.numeric}>{Object.values(study.counts).reduce((sum, count) => sum + count, 0)}</td>
                <td className={css.quiet}>{goalOf(study, t)}</td>
                <td className={css.numeric}>{study.best_value === null ? "–" : compact(study.best_value, tag)}</td>
                <td className={css.quiet}>{settingsOf(study.best_params, tag)}</td>
                <td>{study.model ? <RefChip id={study.model} kind="model" /> : isSearching(study) && <span className={css.quiet}>{t("studies.searches")}</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
