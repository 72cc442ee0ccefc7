/** The replicas of an endpoint that has them on several machines. */
import type { EndpointDetail } from "../api/types";
import { useSpeech } from "../i18n";
import { Panel } from "../parts/page";
import css from "../parts/parts.module.css";

const TONES = { ready: "var(--good)", starting: "var(--accent-fill)", waiting: "var(--warm)", silent: "var(--bad)", leaving: "var(--muted)" };

export function Machines({ endpoint }: { endpoint: EndpointDetail }) {
  const { t, say } = useSpeech();
  const machines = endpoint.replica?.machines ?? [];
  if (machines.length === 0) return null;
  return (
    <div style={{ marginBottom: 20 }}>
      <Panel flush title={t("machines.title")} hint={t("machines.hint", { n: endpoint.workers.replicas })}>
        <div className={css.scroll}>
          <table className={css.table} aria-label={t("machines.title")}>
            <thead><tr><th className={css.numeric}>{t("machines.replica")}</th><th>{t("machines.machine")}</th><th>{t("machines.state")}</th><th /></tr></thead>
            <tbody>
              {machines.map((one) => (
                <tr key={one.slot}>
                  <td className={css.numeric}>{one.slot + 1}</td>
                  <td className="mono">{one.machine || "–"}</td>
                  <td><span className={css.badge} style={{ "--tone": TONES[one.state] } as React.CSSProperties}><span className={css.dot} />{say("machine", one.state)}</span></td>
                  <td className={css.quiet}>{one.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Panel>
    </div>
  );
}
