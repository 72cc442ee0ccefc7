/** A few of the requests that an endpoint has answered; who may not read them sees nothing of it. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { endpointLogs } from "../api/queries";
import type { LoggedRequest } from "../api/types";
import { cell, latency, number } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel } from "../parts/page";
import css from "../parts/parts.module.css";
import { Problem, RefChip, When } from "../parts/words";
import { useSession } from "../session";

function Row({ one }: { one: LoggedRequest }) {
  const { t, tag } = useSpeech();
  const said = [...Object.entries(one.row).map(([name, value]) => `${name} = ${cell(value, tag)}`), ...one.masked.map((name) => `${name}: ${t("live.hidden")}`)];
  return (
    <tr>
      <td style={{ whiteSpace: "nowrap" }}><When time={one.at} /></td>
      <td><RefChip id={one.model} kind="model" /></td>
      <td className={css.numeric}>{latency(one.seconds, tag)}</td>
      <td className={css.numeric}>{number(one.rows, tag)}</td>
      <td className="mono">{cell(one.answer, tag)}</td>
      <td className="mono" style={{ maxWidth: 420, overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }} title={said.join(", ")}>{said.join(", ")}</td>
    </tr>
  );
}

export function RequestLog({ name }: { name: string }) {
  const { t } = useSpeech();
  const { may } = useSession();
  const allowed = may("endpoints.logs");
  const { data, error, refetch, isFetching } = useQuery({ ...endpointLogs(name), enabled: allowed });
  if (!allowed) return null;
  const again = <Button size="compact-sm" variant="subtle" color="gray" loading={isFetching} leftSection={<Icon name="retry" size={15} />} onClick={() => void refetch()}>{t("log.again")}</Button>;
  return (
    <div style={{ marginTop: 20 }}>
      <Panel flush title={t("log.title")} hint={t("log.hint")} side={again}>
        {error && <Problem error={error} />}
        {data && data.items.length === 0 && <p className={css.quiet} style={{ padding: "0 20px 18px", margin: 0 }}>{t("log.empty")}</p>}
        {data && data.items.length > 0 && (
          <div className={css.scroll}>
            <table className={css.table} aria-label={t("log.title")}>
              <thead>
                <tr>
                  <th>{t("log.at")}</th>
                  <th>{t("word.model")}</th>
                  <th className={css.numeric}>{t("log.took")}</th>
                  <th className={css.numeric}>{t("word.rows")}</th>
                  <th>{t("log.answer")}</th>
                  <th>{t("log.firstRow")}</th>
                </tr>
              </thead>
              <tbody>{data.items.map((one) => <Row key={one.id} one={one} />)}</tbody>
            </table>
          </div>
        )}
      </Panel>
    </div>
  );
}
