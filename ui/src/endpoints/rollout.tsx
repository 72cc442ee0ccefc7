/** Who gets how much of an endpoint's requests, how each version does, and the buttons that promote and roll back. */
import { Button, Group, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { request } from "../api/request";
import type { Compared, Deployed, Endpoint, EndpointDetail } from "../api/types";
import { number, percent } from "../format";
import { useSpeech } from "../i18n";
import { Panel } from "../parts/page";
import css from "../parts/parts.module.css";
import { Problem, RefChip } from "../parts/words";
import { useSession } from "../session";
import own from "./endpoints.module.css";

function useChange(send: () => Promise<Endpoint>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: send, meta: { quiet: true }, onSuccess: () => client.invalidateQueries({ queryKey: ["endpoints"] }) });
}

function Buttons({ endpoint }: { endpoint: EndpointDetail }) {
  const { t } = useSpeech();
  const { may } = useSession();
  const canary = endpoint.companions.find(({ role }) => role === "canary");
  const promote = useChange(() => request<Endpoint>("POST", "/endpoints/deploy", { body: { name: endpoint.name, model: canary?.model } }));
  const back = useChange(() => request<Endpoint>("POST", `/endpoints/${encodeURIComponent(endpoint.name)}/rollback`));
  const target = canary ? endpoint.model : endpoint.previous;
  const error = promote.error ?? back.error;
  return (
    <>
      <Group gap="sm" justify="flex-end">
        {target && may("endpoints.rollback") && (
          <Button variant="default" loading={back.isPending} onClick={() => back.mutate()}>{t("rollout.back", { model: target })}</Button>
        )}
        {canary && may("endpoints.deploy") && (
          <Button loading={promote.isPending} onClick={() => promote.mutate()}>{t("rollout.promote", { model: canary.model })}</Button>
        )}
      </Group>
      {error && <Problem error={error} />}
    </>
  );
}

function Row({ one }: { one: Deployed }) {
  const { t, say, tag } = useSpeech();
  const time = (milliseconds: number | null) => (milliseconds === null ? "–" : `${number(milliseconds, tag)} ms`);
  return (
    <tr>
      <td>{say("rollout", one.role)}</td>
      <td><RefChip id={one.model} kind="model" /></td>
      <td>
        <span className={own.share} role="img" aria-label={t("rollout.gets", { model: one.model, share: percent(one.percent / 100, tag) })}>
          <span className={own.track}><span style={{ width: `${one.percent}%` }} /></span>
          <span className="figures">{percent(one.percent / 100, tag)}</span>
        </span>
      </td>
      <td className={css.numeric}>{number(one.requests, tag)}</td>
      <td className={css.numeric}>{number(one.errors, tag)}</td>
      <td className={css.numeric}>{time(one.p50_ms)}</td>
      <td className={css.numeric}>{time(one.p99_ms)}</td>
    </tr>
  );
}

function Comparison({ model, found }: { model: string; found: Compared }) {
  const { t, tag } = useSpeech();
  const values = {
    model,
    rows: found.rows,
    same: percent((found.same_percent ?? 0) / 100, tag),
    mean: number(found.mean_difference, tag),
    most: number(found.largest_difference, tag),
    failed: found.failed,
    skipped: found.skipped,
  };
  return <Text size="sm" mt="sm" data-testid="comparison">{t(found.rows ? "rollout.compared" : "rollout.nothing", values)}</Text>;
}

export function Rollout({ endpoint }: { endpoint: EndpointDetail }) {
  const { t } = useSpeech();
  if (endpoint.companions.length === 0 && !endpoint.previous && !endpoint.went_back) return null;
  return (
    <div className={own.rollout}>
      <Panel title={t("rollout.title")} hint={t("rollout.hint")} side={<Buttons endpoint={endpoint} />}>
        {endpoint.went_back && <Problem title={t("rollout.wentBack")} error={new Error(endpoint.went_back)} />}
        <div className={css.scroll}>
          <table className={css.table} aria-label={t("rollout.title")}>
            <thead>
              <tr>
                <th>{t("rollout.role")}</th>
                <th>{t("word.model")}</th>
                <th>{t("rollout.share")}</th>
                <th className={css.numeric}>{t("rollout.requests")}</th>
                <th className={css.numeric}>{t("rollout.errors")}</th>
                <th className={css.numeric}>p50</th>
                <th className={css.numeric}>p99</th>
              </tr>
            </thead>
            <tbody>{endpoint.rollout.map((one) => <Row key={one.model} one={one} />)}</tbody>
          </table>
        </div>
        {endpoint.rollout.map((one) => one.comparison && <Comparison key={one.model} model={one.model} found={one.comparison} />)}
      </Panel>
    </div>
  );
}
