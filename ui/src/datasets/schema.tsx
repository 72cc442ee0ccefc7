/** The schema of a version and how its versions follow each other. */
import type { DatasetDetail } from "../api/types";
import { bytes, number, percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel } from "../parts/page";
import css from "../parts/parts.module.css";
import { NameLink, RefChip, When } from "../parts/words";

export function SchemaTab({ dataset }: { dataset: DatasetDetail }) {
  const { t, tag, say } = useSpeech();
  return (
    <Panel flush>
      <div className={css.scroll}>
        <table className={css.table} aria-label={t("datasets.tab.schema")}>
          <thead>
            <tr>
              <th>{t("word.column")}</th>
              <th>{t("word.type")}</th>
              <th>{t("word.class")}</th>
              <th className={css.numeric}>{t("word.nulls")}</th>
              <th className={css.numeric}>{t("word.distinct")}</th>
            </tr>
          </thead>
          <tbody>
            {dataset.schema.map((column) => (
              <tr key={column.name}>
                <td><b style={{ fontWeight: 560 }}>{column.name}</b></td>
                <td className={css.quiet}>{say("type", column.type)}</td>
                <td className={css.quiet}>
                  <span style={{ display: "inline-flex", gap: 6, alignItems: "center" }}>
                    {column.class !== "plain" && <Icon name="lock" size={14} style={{ color: "var(--warm)" }} />}
                    {say("class", column.class)}
                  </span>
                </td>
                <td className={css.numeric}>
                  {number(column.nulls, tag)}
                  {column.nulls ? <span style={{ color: "var(--faint)" }}> · {percent(column.nulls / Math.max(dataset.rows, 1), tag)}</span> : null}
                </td>
                <td className={css.numeric}>{number(column.distinct, tag)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

export function VersionsTab({ dataset }: { dataset: DatasetDetail }) {
  const { t, tag, say } = useSpeech();
  return (
    <Panel flush>
      <div className={css.scroll}>
        <table className={css.table} aria-label={t("word.versions")}>
          <thead>
            <tr>
              <th>{t("word.version")}</th>
              <th>{t("word.madeBy")}</th>
              <th>{t("word.from")}</th>
              <th className={css.numeric}>{t("word.rows")}</th>
              <th className={css.numeric}>{t("word.columns")}</th>
              <th className={css.numeric}>{t("word.size")}</th>
              <th>{t("word.created")}</th>
              <th>{t("word.by")}</th>
            </tr>
          </thead>
          <tbody>
            {dataset.versions.map((version) => (
              <tr key={version.ref}>
                <td><NameLink to={`/datasets/${version.ref}`}>@{version.version}</NameLink></td>
                <td className={css.quiet}>{say("made", version.made_by)}</td>
                <td>{version.parent ? <RefChip id={version.parent} kind="dataset" /> : "–"}</td>
                <td className={css.numeric}>{number(version.rows, tag)}</td>
                <td className={css.numeric}>{number(version.columns, tag)}</td>
                <td className={css.numeric}>{bytes(version.size_bytes)}</td>
                <td className={css.quiet}><When time={version.created_at} /></td>
                <td className={css.quiet}>{version.created_by}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
