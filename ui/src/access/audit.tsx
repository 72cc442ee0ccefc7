/** The audit log: who did what, newest first. */
import { ActionIcon, Select, Switch, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { audit, type AuditFilter } from "../api/queries";
import type { AuditRow } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Empty, Problem, When } from "../parts/words";

const TONES: Record<AuditRow["outcome"], string> = { allowed: "var(--good)", denied: "var(--bad)", failed: "var(--warm)" };

const EVERYTHING: AuditFilter = { actor: "", action: "", outcome: null, changes: false };
const OUTCOMES = Object.keys(TONES) as AuditRow["outcome"][];

function Filters({ value, onChange, onRefresh }: { value: AuditFilter; onChange: (next: AuditFilter) => void; onRefresh: () => void }) {
  const { t } = useSpeech();
  return (
    <div style={{ display: "flex", flexWrap: "wrap", alignItems: "center", gap: 12, marginBottom: 14 }}>
      <TextInput
        size="xs" aria-label={t("access.actor")} placeholder={t("access.anybody")} value={value.actor}
        onChange={(event) => onChange({ ...value, actor: event.currentTarget.value })}
      />
      <TextInput
        size="xs" aria-label={t("access.action")} placeholder={t("access.actionHint")} value={value.action}
        onChange={(event) => onChange({ ...value, action: event.currentTarget.value })}
      />
      <Select
        size="xs" clearable aria-label={t("access.outcome")} placeholder={t("access.anyOutcome")} value={value.outcome}
        onChange={(next) => onChange({ ...value, outcome: OUTCOMES.find((one) => one === next) ?? null })}
        data={OUTCOMES.map((one) => ({ value: one, label: t(`access.outcome.${one}`) }))}
      />
      <Switch size="xs" label={t("access.changes")} checked={value.changes} onChange={(event) => onChange({ ...value, changes: event.currentTarget.checked })} />
      <ActionIcon variant="default" aria-label={t("access.refresh")} onClick={onRefresh}><Icon name="retry" size={16} /></ActionIcon>
    </div>
  );
}

export function AuditTab() {
  const [filter, setFilter] = useState(EVERYTHING);
  const [asked] = useDebouncedValue({ ...filter, actor: filter.actor.trim(), action: filter.action.trim() }, 400);
  const { data, error, refetch } = useQuery({ ...audit(asked), placeholderData: keepPreviousData });
  return (
    <>
      <Filters value={filter} onChange={setFilter} onRefresh={() => void refetch()} />
      {error ? <Problem error={error} onRetry={() => void refetch()} /> : <Lines rows={data?.items} />}
    </>
  );
}

function Lines({ rows }: { rows: AuditRow[] | undefined }) {
  const { t, say } = useSpeech();
  return (
    <Panel flush>
      {!rows && <RowsSkeleton />}
      {rows?.length === 0 && <Empty icon="search" title={t("access.noLines")} text="" />}
      {rows && rows.length > 0 && (
        <div className={css.scroll}>
          <table className={css.table} aria-label={t("access.audit")}>
            <thead>
              <tr>
                <th>{t("access.time")}</th>
                <th>{t("access.actor")}</th>
                <th>{t("access.action")}</th>
                <th>{t("access.on")}</th>
                <th>{t("access.outcome")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row, i) => (
                <tr key={i}>
                  <td className={css.quiet}><When time={row.time} /></td>
                  <td>{row.actor}</td>
                  <td><span className="mono">{row.action}</span></td>
                  <td className={css.quiet}>{row.target || "–"}</td>
                  <td>
                    <span className={css.badge} style={{ "--tone": TONES[row.outcome] } as React.CSSProperties}>{say("access.outcome", row.outcome)}</span>
                    {row.code && <span className="mono" style={{ color: "var(--faint)", marginLeft: 8 }}>{row.code}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
