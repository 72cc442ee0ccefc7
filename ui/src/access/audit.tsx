/** The audit log: who did what, newest first. */
import { useQuery } from "@tanstack/react-query";

import { audit } from "../api/queries";
import type { AuditRow } from "../api/types";
import { useSpeech } from "../i18n";
import { Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Problem, When } from "../parts/words";

const TONES: Record<AuditRow["outcome"], string> = { allowed: "var(--good)", denied: "var(--bad)", failed: "var(--warm)" };

export function AuditTab() {
  const { t, say } = useSpeech();
  const { data, error, refetch } = useQuery(audit());
  if (error) return <Problem error={error} onRetry={() => void refetch()} />;
  return (
    <Panel flush>
      {!data && <RowsSkeleton />}
      {data && (
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
              {data.items.map((row, i) => (
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
