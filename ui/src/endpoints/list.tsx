/** All endpoints of the project. */
import { useQuery } from "@tanstack/react-query";

import { endpoints } from "../api/queries";
import { useSpeech } from "../i18n";
import { Page, Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Copy, Empty, NameLink, Problem, RefChip, StateBadge, When } from "../parts/words";

export function EndpointList() {
  const { t } = useSpeech();
  const { data, error, refetch } = useQuery(endpoints());
  return (
    <Page title={t("nav.endpoints")} lead={t("endpoints.lead")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!error && (
        <Panel flush>
          {!data && <RowsSkeleton />}
          {data?.items.length === 0 && <Empty icon="endpoints" title={t("endpoints.empty")} text={t("endpoints.emptyText")} command="lepton endpoints deploy churn --model churn@1" />}
          {data && data.items.length > 0 && (
            <div className={css.scroll}>
              <table className={css.table} aria-label={t("nav.endpoints")}>
                <thead>
                  <tr>
                    <th>{t("word.name")}</th>
                    <th>{t("word.state")}</th>
                    <th>{t("word.model")}</th>
                    <th>{t("word.address")}</th>
                    <th>{t("word.created")}</th>
                    <th>{t("word.by")}</th>
                  </tr>
                </thead>
                <tbody>
                  {data.items.map((endpoint) => (
                    <tr key={endpoint.name}>
                      <td><NameLink to={`/endpoints/${endpoint.name}`}>{endpoint.name}</NameLink></td>
                      <td><StateBadge state={endpoint.state} /></td>
                      <td><RefChip id={endpoint.model} kind="model" /></td>
                      <td className={css.quiet}>
                        {endpoint.url ? <span style={{ display: "inline-flex", alignItems: "center", gap: 4 }}><span className="mono">{endpoint.url}</span><Copy text={endpoint.url} /></span> : "–"}
                      </td>
                      <td className={css.quiet}><When time={endpoint.created_at} /></td>
                      <td className={css.quiet}>{endpoint.created_by}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Panel>
      )}
    </Page>
  );
}
