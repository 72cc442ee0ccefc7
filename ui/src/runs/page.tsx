/** One run: what it is doing, its curves and log, and what it made. */
import { Button, Progress, Skeleton } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";

import { isOpen, run as runQuery, runMetrics, runTracked } from "../api/queries";
import { request, submitLike } from "../api/request";
import { useRunLog } from "../api/stream";
import type { MetricSeries, Run } from "../api/types";
import { duration, moment, percent } from "../format";
import { type Translate, useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Facts, Page, PageSkeleton, Panel, Tiles } from "../parts/page";
import { Problem, RefChip, StateBadge, When } from "../parts/words";
import { isHeldOut, metricName, metricText } from "../models/metrics";
import { useSession } from "../session";
import { Artifacts } from "./artifacts";
import { CloneDialog } from "./clone-dialog";
import { Code } from "./code";
import { RunLog } from "./log";
import { useResources } from "./resources";
import css from "./runs.module.css";
import { titleOf } from "./told";

const Curve = lazy(() => import("../charts/curve").then(({ Curve: component }) => ({ default: component })));

const SYSTEM = "system/";

function CurveGrid({ series, nameOf }: { series: MetricSeries[]; nameOf: (key: string) => string }) {
  return (
    <div className={css.curves}>
      {series.map((one) => (
        <Suspense key={one.key} fallback={<Skeleton height={216} radius="md" />}>
          <Curve series={one} label={nameOf(one.key)} />
        </Suspense>
      ))}
    </div>
  );
}

function Metrics({ run }: { run: Run }) {
  const { t, tag, say } = useSpeech();
  const open = isOpen(run);
  const { data } = useQuery(runMetrics(run.id, open));
  const all: MetricSeries[] = data?.metrics ?? [];
  const metrics = all.filter(({ key }) => !key.startsWith(SYSTEM));
  const system = all.filter(({ key }) => key.startsWith(SYSTEM));
  const curves = metrics.filter(({ points }) => points.length > 1);
  const single = metrics.filter(({ points }) => points.length === 1);
  return (
    <>
      {(metrics.length > 0 || run.verb.startsWith("models.")) && (
        <Panel title={t("runs.metrics")}>
          {!data && <Skeleton height={190} radius="md" />}
          {data && metrics.length === 0 && <span style={{ color: "var(--faint)" }}>{open ? t("runs.metricsSoon") : t("runs.metricsNone")}</span>}
          {curves.length > 0 && <CurveGrid series={curves} nameOf={(key) => metricName(key, say)} />}
          {single.length > 0 && (
            <div style={{ marginTop: curves.length ? 22 : 0 }}>
              <Tiles tiles={single.map(({ key, points }) => ({ label: metricName(key, say), value: metricText(key, points[0]?.value ?? null, tag), note: isHeldOut(key) ? t("metric.heldOut") : undefined }))} />
            </div>
          )}
        </Panel>
      )}
      {system.length > 0 && (
        <Panel title={t("runs.system")} hint={t("runs.systemHint")}>
          <CurveGrid series={system} nameOf={(key) => systemName(key, t, say)} />
        </Panel>
      )}
    </>
  );
}

/** What a machine measures of itself, in words; GPUs carry their number. */
function systemName(key: string, t: Translate, say: (prefix: string, word: string) => string): string {
  const name = key.slice(SYSTEM.length);
  const gpu = /^gpu(\d+)_(.+)$/.exec(name);
  return gpu ? `${t("system.gpu", { n: gpu[1] ?? "" })} · ${say("system.of", gpu[2] ?? "")}` : say("system", name);
}

function Chips({ ids, kind }: { ids: string[]; kind?: "dataset" | "run" }) {
  if (ids.length === 0) return <>–</>;
  return <span style={{ display: "flex", flexWrap: "wrap", gap: 6 }}>{ids.map((id) => <RefChip key={id} id={id} kind={kind} />)}</span>;
}

const NOTED = /^(command|python|system|git\..*)$/;

function Details({ run }: { run: Run }) {
  const { t, tag } = useSpeech();
  const words = useResources();
  const { data: tracked } = useQuery(runTracked(run.id, isOpen(run)));
  const params = [...Object.entries(run.params).filter(([, value]) => value !== null), ...Object.entries(tracked?.params ?? {})];
  // What was noted by itself is in the panel about the code.
  const tags = Object.entries(tracked?.tags ?? {}).filter(([name]) => !NOTED.test(name));
  return (
    <div style={{ display: "grid", gap: 20 }}>
      <Panel title={t("word.details")}>
        <Facts
          facts={[
            [t("word.inputs"), <Chips key="inputs" ids={run.inputs} kind="dataset" />],
            [t("word.outputs"), <Chips key="outputs" ids={run.outputs} />],
            [t("word.workers"), String(run.workers)],
            [t("runs.resources"), words(run.resources)],
            [t("runs.priority"), run.priority === 0 ? null : String(run.priority)],
            [t("runs.attempt"), run.attempt === 0 ? null : String(run.attempt + 1)],
            [t("runs.timeout"), run.timeout_s === null ? null : `${run.timeout_s} s`],
            [t("runs.after"), run.after.length === 0 ? null : <Chips key="after" ids={run.after} kind="run" />],
            [t("runs.reused"), run.reused_from && <RefChip key="reused" id={run.reused_from} kind="run" />],
            [t("word.submittedBy"), run.submitted_by],
            [t("word.created"), moment(run.created_at, tag)],
            [t("word.started"), moment(run.started_at, tag)],
            [t("word.duration"), <span key="duration" className="figures">{duration(run.started_at, run.ended_at)}</span>],
            [t("word.retryOf"), run.retry_of && <RefChip key="retry" id={run.retry_of} kind="run" />],
          ]}
        />
      </Panel>
      {params.length > 0 && (
        <Panel title={t("word.parameters")}>
          <Facts facts={params.map(([name, value]) => [name, <span key={name} className="mono">{String(value)}</span>])} />
        </Panel>
      )}
      {tags.length > 0 && (
        <Panel title={t("runs.tags")}>
          <Facts facts={tags.map(([name, value]) => [name, <span key={name} style={{ overflowWrap: "anywhere" }}>{value}</span>])} />
        </Panel>
      )}
    </div>
  );
}

function Actions({ run }: { run: Run }) {
  const { t } = useSpeech();
  const { may } = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const path = `/runs/${encodeURIComponent(run.id)}`;
  const cancel = useMutation({
    mutationFn: () => request<Run>("POST", `${path}/cancel`),
    onSuccess: (answer) => client.setQueryData(runQuery(run.id).queryKey, answer),
  });
  const retry = useMutation({
    mutationFn: () => request<Run>("POST", `${path}/retry`),
    onSuccess: (answer) => void navigate({ to: "/runs/$id", params: { id: answer.id } }),
  });
  const again = useMutation({
    mutationFn: () => submitLike({ like: run.id }),
    onSuccess: (answer) => void navigate({ to: "/runs/$id", params: { id: answer.id } }),
  });
  const [cloning, setCloning] = useState(false);
  const asked = cancel.isSuccess && isOpen(run);
  const isCommand = run.task === "runs.submit" && may("runs.submit");
  return (
    <>
      {isOpen(run) && may("runs.cancel") && (
        <Button variant="default" leftSection={<Icon name="stop" size={17} />} loading={cancel.isPending} disabled={asked} onClick={() => cancel.mutate()}>
          {asked ? t("runs.cancelAsked") : t("do.cancelRun")}
        </Button>
      )}
      {isCommand && <Button variant="default" leftSection={<Icon name="copy" size={17} />} onClick={() => setCloning(true)}>{t("clone.open")}</Button>}
      {isCommand && run.state === "succeeded" && (
        <Button variant="default" leftSection={<Icon name="retry" size={17} />} loading={again.isPending} onClick={() => again.mutate()}>{t("runs.again")}</Button>
      )}
      {cloning && <CloneDialog run={run} onClose={() => setCloning(false)} />}
      {(run.state === "failed" || run.state === "cancelled") && run.task !== "runs.create" && may("runs.retry") && (
        <Button leftSection={<Icon name="retry" size={17} />} loading={retry.isPending} onClick={() => retry.mutate()}>{t("do.retry")}</Button>
      )}
    </>
  );
}

function Verdict({ run }: { run: Run }) {
  const { t, tag } = useSpeech();
  if (isOpen(run)) {
    return (
      <div className={css.progress} aria-live="polite">
        <div className={css.progressText}>
          <span>{run.message || (run.state === "queued" ? t("follow.queued") : "")}</span>
          <span className="figures">{percent(run.progress, tag)}</span>
        </div>
        <Progress value={Math.max(run.progress * 100, 2)} animated aria-label={t("runs.progress")} />
      </div>
    );
  }
  if (run.error) {
    return (
      <div style={{ marginBottom: 20 }}>
        <Problem title={t("runs.failed")} error={new Error(run.error.message)} />
      </div>
    );
  }
  if (run.outputs.length === 0) return null;
  return (
    <div className={css.made}>
      <Icon name="check" size={18} />
      {t("runs.result")}
      {run.outputs.map((output) => <RefChip key={output} id={output} />)}
    </div>
  );
}

export function RunPage() {
  const { t, say } = useSpeech();
  const { id } = useParams({ from: "/shell/runs/$id" });
  const log = useRunLog(id);
  const { data: run, error, refetch } = useQuery(runQuery(id, log.live));
  const { data: tracked } = useQuery({ ...runTracked(id, false), enabled: run?.task === "runs.create" });
  const name = String(tracked?.tags.name ?? run?.params.name ?? "");
  const parent = { to: "/runs", label: t("nav.runs"), icon: "runs" } as const;
  if (error) return <Page title={id} parent={parent}><Problem error={error} onRetry={() => void refetch()} /></Page>;
  if (!run) return <PageSkeleton />;
  return (
    <Page
      title={titleOf(run, say, name)}
      parent={parent}
      beside={<StateBadge state={run.state} />}
      lead={<>{name && <>{say("task", run.verb)} · </>}{run.params.recipe && <>{say("recipe", String(run.params.recipe))} · </>}<span className="mono">{run.id}</span> · <When time={run.created_at} /> · {run.submitted_by} · {t("count.workers", { n: run.workers })}</>}
      actions={<Actions run={run} />}
    >
      <Verdict run={run} />
      <div className={css.columns}>
        <div className={css.main}>
          <Metrics run={run} />
          {run.task !== "runs.create" && <RunLog log={log} workers={run.workers} />}
          <Artifacts run={run} />
          <Code run={run} />
        </div>
        <Details run={run} />
      </div>
    </Page>
  );
}
