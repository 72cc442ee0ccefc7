/** The profile of a version: one card a column. */
import { Button, Skeleton, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { profile } from "../api/queries";
import type { ColumnProfile } from "../api/types";
import { Histogram, TopValues } from "../charts/histogram";
import { compact, number, percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Problem } from "../parts/words";
import css from "./profile.module.css";

const AT_ONCE = 36;

function Statistics({ column }: { column: ColumnProfile }) {
  const { t, tag } = useSpeech();
  const show = (value: unknown) => (typeof value === "number" ? compact(value, tag) : String(value ?? "–"));
  const median = column.quantiles?.["0.5"];
  const shown: [string, unknown][] = [
    [t("profile.min"), column.min],
    [t("profile.median"), median],
    [t("profile.mean"), column.mean],
    [t("profile.max"), column.max],
  ];
  const known = shown.filter(([, value]) => value !== null && value !== undefined);
  if (known.length === 0) return null;
  return (
    <dl className={css.stats}>
      {known.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd title={String(value)}>{show(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function ColumnCard({ column, rows }: { column: ColumnProfile; rows: number }) {
  const { t, tag, say } = useSpeech();
  const missing = rows > 0 && column.nulls !== null ? column.nulls / rows : 0;
  return (
    <article className={css.card} aria-label={column.name}>
      <div className={css.cardHead}>
        <b>{column.name}</b>
        <span className={css.kind}>
          {column.class !== "plain" && <Icon name="lock" size={13} />}
          {column.class !== "plain" && `${say("class", column.class)} · `}
          {say("type", column.type)}
        </span>
      </div>
      {column.masked ? (
        <div className={css.masked}>
          <Icon name="lock" size={22} />
          {t("profile.masked")}
        </div>
      ) : (
        <>
          <div>
            <div className={css.complete}><i style={{ width: `${(1 - missing) * 100}%` }} /></div>
            <div className={css.line} style={{ marginTop: 5 }}>
              <span className={missing > 0 ? css.warm : undefined}>{missing > 0 ? t("profile.missing", { share: percent(missing, tag) }) : t("profile.complete")}</span>
              {column.distinct !== null && <span>{t("profile.distinct", { n: column.distinct })}</span>}
            </div>
          </div>
          {column.histogram && column.histogram.counts.length > 0 && <Histogram name={column.name} {...column.histogram} />}
          {!column.histogram && column.top_values && column.top_values.length > 0 && <TopValues values={column.top_values} rows={rows} distinct={column.distinct} />}
          {!column.histogram && !column.top_values?.length && <div className={css.masked}>{t("profile.nothing")}</div>}
          {column.warnings.map((warning) => (
            <div className={css.warning} key={warning}>
              <Icon name="alert" size={14} />
              <span>{warning}</span>
            </div>
          ))}
          {column.histogram && <Statistics column={column} />}
        </>
      )}
    </article>
  );
}

export function ProfileTab({ reference }: { reference: string }) {
  const { t } = useSpeech();
  const { data, error, refetch } = useQuery(profile(reference));
  const [find, setFind] = useState("");
  const [all, setAll] = useState(false);
  if (error) return <Problem error={error} onRetry={() => void refetch()} />;
  if (!data) {
    return (
      <div className={css.grid} aria-busy="true">
        {Array.from({ length: 6 }, (_, i) => <Skeleton key={i} height={224} radius="lg" />)}
      </div>
    );
  }
  const wanted = data.columns.filter(({ name }) => name.toLowerCase().includes(find.trim().toLowerCase()));
  const shown = all ? wanted : wanted.slice(0, AT_ONCE);
  const cells = data.columns.reduce((sum, { nulls }) => sum + (nulls ?? 0), 0);
  return (
    <>
      <div className={css.tools}>
        <TextInput
          aria-label={t("profile.find")} placeholder={t("profile.find")} leftSection={<Icon name="search" size={16} />} value={find} w={230}
          onChange={(event) => setFind(event.currentTarget.value)}
        />
        <span className="figures">
          {data.duplicate_rows !== null && t("datasets.duplicates", { n: data.duplicate_rows })}
          {" · "}
          {number(cells)} {t("datasets.missingCells")}
        </span>
      </div>
      {wanted.length === 0 && <p>{t("profile.noMatch")}</p>}
      <div className={css.grid}>
        {shown.map((column) => <ColumnCard key={column.name} column={column} rows={data.rows} />)}
      </div>
      {shown.length < wanted.length && (
        <Button variant="default" mt="lg" onClick={() => setAll(true)}>{t("do.showMore", { n: wanted.length })}</Button>
      )}
    </>
  );
}
