/** One endpoint: its state, how to call it, and a form to try it. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";

import { endpoint as endpointQuery } from "../api/queries";
import type { EndpointDetail } from "../api/types";
import { moment } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { ConfirmDelete } from "../parts/confirm";
import { Facts, Page, PageSkeleton, Panel } from "../parts/page";
import { Code, Copy, NameLink, Problem, RefChip, StateBadge, When } from "../parts/words";
import { useSession } from "../session";
import css from "./endpoints.module.css";
import { curlOf, exampleRow, shortRow } from "./form";
import { Live } from "./live";
import { AnswerPanel, PredictForm, usePrediction } from "./predict";
import { RequestLog } from "./log";
import { Machines } from "./machines";
import { Rollout } from "./rollout";

function workersText({ workers, replica }: EndpointDetail, t: ReturnType<typeof useSpeech>["t"]) {
  const range = workers.min === workers.max ? `${workers.min}` : `${workers.min}–${workers.max}`;
  const ready = replica?.workers.filter((worker) => worker.state === "ready").length ?? 0;
  return t("endpoints.workersReady", { ready, range });
}

function limitsText({ limits }: EndpointDetail, t: ReturnType<typeof useSpeech>["t"]) {
  const said = [
    limits.max_rate ? t("endpoints.maxRate", { n: limits.max_rate }) : "",
    limits.max_token_rate ? t("endpoints.maxTokenRate", { n: limits.max_token_rate }) : "",
    limits.max_concurrency ? t("endpoints.maxConcurrency", { n: limits.max_concurrency }) : "",
  ];
  return said.filter(Boolean).join(" · ");
}

function Try({ endpoint }: { endpoint: EndpointDetail }) {
  const { t, tag } = useSpeech();
  const [texts, setTexts] = useState<Record<string, string>>({});
  const { signature } = endpoint;
  const predict = usePrediction(endpoint);
  const example = exampleRow(signature, texts);
  return (
    <div className={css.columns}>
      <PredictForm endpoint={endpoint} texts={texts} onTexts={setTexts} predict={predict} />
      <div className={css.side}>
        <AnswerPanel predict={predict} target={signature.target} />
        {endpoint.url && (
          <Panel title={t("endpoints.curl")} hint={t("endpoints.curlHint")} side={<Copy text={curlOf(endpoint.url, example)} />}>
            <Code text={curlOf(endpoint.url, shortRow(example))} copyable={null} />
          </Panel>
        )}
        <Panel title={t("word.details")}>
          <Facts
            facts={[
              [t("word.model"), <RefChip key="model" id={endpoint.model} kind="model" />],
              [t("word.address"), endpoint.url && <span key="url" style={{ display: "flex", alignItems: "center", gap: 4 }}><span className="mono">{endpoint.url}</span><Copy text={endpoint.url} /></span>],
              [t("endpoints.workers"), workersText(endpoint, t)],
              [t("endpoints.shares"), endpoint.shares && <NameLink key="shares" to={`/endpoints/${endpoint.shares}`}>{endpoint.shares}</NameLink>],
              [t("endpoints.limits"), limitsText(endpoint, t)],
              [t("word.created"), moment(endpoint.created_at, tag)],
              [t("word.by"), endpoint.created_by],
            ]}
          />
        </Panel>
      </div>
    </div>
  );
}

export function EndpointPage() {
  const { t } = useSpeech();
  const { may } = useSession();
  const { name } = useParams({ from: "/shell/endpoints/$name" });
  const navigate = useNavigate();
  const [deleting, setDeleting] = useState(false);
  const { data: endpoint, error, refetch } = useQuery({ ...endpointQuery(name), enabled: !deleting });
  const parent = { to: "/endpoints", label: t("nav.endpoints"), icon: "endpoints" } as const;
  if (error && !endpoint) return <Page title={name} parent={parent}><Problem error={error} onRetry={() => void refetch()} /></Page>;
  if (!endpoint) return <PageSkeleton />;
  return (
    <Page
      title={endpoint.name}
      parent={parent}
      beside={<StateBadge state={endpoint.state} />}
      lead={<span style={{ display: "inline-flex", gap: 8, alignItems: "center", flexWrap: "wrap" }}><RefChip id={endpoint.model} kind="model" /><span>· <When time={endpoint.created_at} /> · {endpoint.created_by}</span></span>}
      actions={may("endpoints.delete") && <Button variant="default" leftSection={<Icon name="trash" size={17} />} onClick={() => setDeleting(true)}>{t("do.delete")}</Button>}
    >
      {endpoint.state === "failed" && <div style={{ marginBottom: 20 }}><Problem title={t("state.failed")} error={new Error(endpoint.message)} /></div>}
      <Rollout endpoint={endpoint} />
      <Machines endpoint={endpoint} />
      <Live endpoint={endpoint}>
        <Try endpoint={endpoint} />
      </Live>
      <RequestLog endpoint={endpoint} />
      <ConfirmDelete
        opened={deleting} onClose={() => setDeleting(false)} title={t("endpoints.deleteTitle", { name: endpoint.name })} text={t("endpoints.deleteText")} noun="endpoints"
        path={`/endpoints/${encodeURIComponent(endpoint.name)}`} done={t("endpoints.deleted", { name: endpoint.name })} after={() => navigate({ to: "/endpoints" })}
      />
    </Page>
  );
}
