/** Sample rows of a version; cells that the reader may not see are dots with a lock. */
import { Button, Group, Tooltip } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { rows } from "../api/queries";
import type { DatasetDetail, Scalar } from "../api/types";
import { cell, number } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel, RowsSkeleton } from "../parts/page";
import { Problem } from "../parts/words";
import css from "./rows.module.css";

const PAGE = 50;

function Value({ value, masked }: { value: Scalar; masked: boolean }) {
  const { tag } = useSpeech();
  if (masked) return <span className={css.masked} role="img" aria-label="••••">••••</span>;
  if (value === null) return <span className={css.missing}>–</span>;
  return <>{typeof value === "boolean" ? String(value) : cell(value, tag)}</>;
}

export function RowsTab({ dataset }: { dataset: DatasetDetail }) {
  const { t, tag, say } = useSpeech();
  const [offset, setOffset] = useState(0);
  const { data, error, refetch, isPlaceholderData } = useQuery({ ...rows(dataset.ref, offset, PAGE), placeholderData: keepPreviousData });
  if (error) return <Problem error={error} onRetry={() => void refetch()} />;
  if (!data) return <Panel flush><RowsSkeleton count={10} /></Panel>;
  const kinds = new Map(dataset.schema.map(({ name, type }) => [name, type]));
  const masked = data.columns.map((name) => data.masked.includes(name));
  const numeric = data.columns.map((name) => ["number", "integer"].includes(kinds.get(name) ?? ""));
  const last = Math.min(offset + PAGE, data.total);
  return (
    <Panel flush>
      <div className={css.scroll} tabIndex={0} role="region" aria-label={t("rows.table")}>
        <table className={css.table} aria-label={t("rows.table")} style={{ opacity: isPlaceholderData ? 0.55 : 1 }}>
          <thead>
            <tr>
              <th className={css.number}>#</th>
              {data.columns.map((name, i) => (
                <th key={name} className={numeric[i] ? css.numeric : undefined}>
                  <span className={css.column}>
                    {masked[i] && <Tooltip label={t("rows.masked")}><span><Icon name="lock" size={13} aria-label={t("rows.masked")} /></span></Tooltip>}
                    {name}
                  </span>
                  <small>{say("type", kinds.get(name) ?? "")}</small>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {data.rows.map((row, i) => (
              <tr key={i}>
                <td className={css.number}>{number(offset + i + 1, tag)}</td>
                {row.map((value, j) => (
                  <td key={j} className={numeric[j] ? css.numeric : undefined}><Value value={value} masked={masked[j] ?? false} /></td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {data.total === 0 && <p className={css.none}>{t("rows.empty")}</p>}
      </div>
      <Group justify="space-between" px="lg" py="sm" className={css.foot}>
        <span className="figures">{data.total > 0 && t("rows.range", { from: offset + 1, to: last, total: data.total })}</span>
        <Group gap="xs">
          <Button size="xs" variant="default" disabled={offset === 0} onClick={() => setOffset(Math.max(offset - PAGE, 0))}>{t("do.previous")}</Button>
          <Button size="xs" variant="default" disabled={last >= data.total} onClick={() => setOffset(offset + PAGE)}>{t("do.next")}</Button>
        </Group>
      </Group>
    </Panel>
  );
}
