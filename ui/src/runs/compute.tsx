/** What there is to compute with: machines, what each project uses of them, who waits and why, and what is repeated. */
import { ActionIcon, Button, Group, NumberInput, Progress, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { queue as queueQuery, schedules as schedulesQuery } from "../api/queries";
import { request } from "../api/request";
import type { ProjectUse, Queue, Quota, Resources, Schedule } from "../api/types";
import { moment, number } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { ConfirmDelete } from "../parts/confirm";
import { Dialog } from "../parts/dialog";
import { Page, Panel, RowsSkeleton, Tiles } from "../parts/page";
import css from "../parts/parts.module.css";
import { Empty, NameLink, Problem, RefChip, When } from "../parts/words";
import { useSession } from "../session";
import { RunHistory } from "./history";
import { memory, sum, useResources } from "./resources";

const PARTS = ["cpus", "memory_mb", "gpus", "running", "hours"] as const;

function Bar({ used, most, label, text }: { used: number; most: number; label: string; text: string }) {
  const share = most > 0 ? Math.min((used / most) * 100, 100) : 0;
  return (
    <div style={{ minWidth: 130 }}>
      <div className="figures" style={{ fontSize: 13 }}>{text}</div>
      <Progress mt={4} size={5} value={share} color={share >= 100 ? "orange" : undefined} aria-label={`${label}: ${text}`} />
    </div>
  );
}

function Projects({ queue, onEdit }: { queue: Queue; onEdit: ((project: ProjectUse) => void) | null }) {
  const { t, tag } = useSpeech();
  const has = sum(queue.machines);
  const amount = (part: "cpus" | "memory_mb" | "gpus", used: number, most: number) =>
    part === "memory_mb" ? `${memory(used)} / ${memory(most)}` : `${number(used, tag)} / ${number(most, tag)}`;
  const bars = (use: Resources, quota: Quota | null) =>
    (["cpus", "memory_mb", "gpus"] as const).map((part) => {
      const most = quota?.[part] ?? has[part];
      return (
        <td key={part}>
          {has[part] > 0 ? <Bar used={use[part]} most={most} label={t(`compute.${part}`)} text={amount(part, use[part], most)} /> : "–"}
        </td>
      );
    });
  return (
    <Panel flush title={t("compute.projects")} hint={t("compute.projectsHint")}>
      <div className={css.scroll}>
        <table className={css.table} aria-label={t("compute.projects")}>
          <thead>
            <tr>
              <th>{t("nav.project")}</th>
              <th className={css.numeric}>{t("compute.running")}</th>
              <th className={css.numeric}>{t("compute.waiting")}</th>
              <th>{t("compute.cpus")}</th>
              <th>{t("compute.memory_mb")}</th>
              <th>{t("compute.gpus")}</th>
              <th className={css.numeric}>{t("compute.hours")}</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {queue.projects.map((one) => (
              <tr key={one.project}>
                <td><b style={{ fontWeight: 560 }}>{one.project}</b></td>
                <td className={css.numeric}>{one.use.running}{one.quota.running !== null && ` / ${one.quota.running}`}</td>
                <td className={css.numeric}>{one.queued}</td>
                {bars(one.use.resources, one.quota)}
                <td className={css.numeric}>{one.quota.hours === null ? "–" : `${number(one.hours, tag, 3)} / ${number(one.quota.hours, tag)}`}</td>
                <td className={css.numeric}>
                  {onEdit && <Button size="compact-xs" variant="default" onClick={() => onEdit(one)}>{t("compute.editQuota")}</Button>}
                </td>
              </tr>
            ))}
            {queue.others.running > 0 && (
              <tr>
                <td className={css.quiet}>{t("compute.others")}</td>
                <td className={css.numeric}>{queue.others.running}</td>
                <td className={css.numeric}>–</td>
                {bars(queue.others.resources, null)}
                <td className={css.numeric}>–</td>
                <td />
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function QuotaForm({ project, onClose }: { project: ProjectUse; onClose: () => void }) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const [quota, setQuota] = useState<Quota>(project.quota);
  const save = useMutation({
    mutationFn: () => request<Quota>("PUT", "/runs/quota", { query: { project: project.project }, body: quota }),
    meta: { quiet: true },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["runs"] });
      onClose();
    },
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Text size="sm">{t("compute.quotaText")}</Text>
        {PARTS.map((part) => (
          <NumberInput
            key={part} label={t(`compute.most.${part}`)} placeholder={t("compute.noLimit")} min={0} allowNegative={false}
            allowDecimal={part === "cpus" || part === "hours"} value={quota[part] ?? ""}
            onChange={(value) => setQuota({ ...quota, [part]: value === "" ? null : Number(value) })}
          />
        ))}
        {save.isError && <Problem error={save.error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
          <Button type="submit" loading={save.isPending}>{t("do.save")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function Waiting({ queue }: { queue: Queue }) {
  const { t, say } = useSpeech();
  const words = useResources();
  return (
    <Panel flush title={t("compute.queue")} hint={t("compute.queueHint")}>
      {queue.waiting.length === 0 && <Empty icon="check" title={t("compute.nobodyWaits")} text="" />}
      {queue.waiting.length > 0 && (
        <div className={css.scroll}>
          <table className={css.table} aria-label={t("compute.queue")}>
            <thead>
              <tr>
                <th>{t("word.run")}</th>
                <th>{t("nav.project")}</th>
                <th>{t("compute.needs")}</th>
                <th className={css.numeric}>{t("compute.priority")}</th>
                <th>{t("word.created")}</th>
                <th>{t("compute.why")}</th>
              </tr>
            </thead>
            <tbody>
              {queue.waiting.map((run) => (
                <tr key={run.run_id}>
                  <td>
                    <NameLink to={`/runs/${run.run_id}`}>{say("task", run.task)}</NameLink>
                    <div className="mono" style={{ color: "var(--faint)", fontSize: 11.5 }}>{run.run_id}</div>
                  </td>
                  <td>{run.project}</td>
                  <td>{words(run.needs)}</td>
                  <td className={css.numeric}>{run.priority}</td>
                  <td className={css.quiet}><When time={run.created_at} /></td>
                  <td className={css.quiet}>{run.reason}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Schedules() {
  const { t, tag } = useSpeech();
  const { may } = useSession();
  const { data } = useQuery(schedulesQuery());
  const [leaving, setLeaving] = useState<Schedule | null>(null);
  if (!data || data.items.length === 0) return null;
  return (
    <Panel flush title={t("compute.schedules")} hint={t("compute.schedulesHint")}>
      <div className={css.scroll}>
        <table className={css.table} aria-label={t("compute.schedules")}>
          <thead>
            <tr>
              <th>{t("compute.when")}</th>
              <th>{t("compute.next")}</th>
              <th>{t("word.run")}</th>
              <th>{t("compute.last")}</th>
              <th>{t("word.by")}</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {data.items.map((one) => (
              <tr key={one.id}>
                <td><span className="mono">{one.cron}</span> <span className={css.quiet}>{one.timezone}</span></td>
                <td>{moment(one.next_at, tag)}</td>
                <td><RefChip id={one.run_id} kind="run" /></td>
                <td>{one.last_run_id ? <RefChip id={one.last_run_id} kind="run" /> : "–"}</td>
                <td>{one.created_by}</td>
                <td className={css.numeric}>
                  {may("runs.unschedule") && (
                    <ActionIcon variant="subtle" color="gray" aria-label={t("compute.unschedule", { cron: one.cron })} onClick={() => setLeaving(one)}>
                      <Icon name="trash" size={17} />
                    </ActionIcon>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {leaving && (
        <ConfirmDelete
          opened onClose={() => setLeaving(null)} title={t("compute.unschedule", { cron: leaving.cron })} text={t("compute.unscheduleText")}
          path={`/runs/schedules/${encodeURIComponent(leaving.id)}`} done={t("compute.unscheduled")} noun="runs"
        />
      )}
    </Panel>
  );
}

export function ComputePage() {
  const { t, tag } = useSpeech();
  const { me, may } = useSession();
  const { data, error, refetch } = useQuery(queueQuery());
  const [edited, setEdited] = useState<ProjectUse | null>(null);
  const has = data && sum(data.machines);
  const used = data && sum([...data.projects.map(({ use }) => use.resources), data.others.resources]);
  const running = data ? data.projects.reduce((all, { use }) => all + use.running, data.others.running) : 0;
  return (
    <Page title={t("nav.compute")} lead={t("compute.lead")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <RowsSkeleton />}
      {data && has && used && (
        <div style={{ display: "grid", gap: 20 }}>
          <Tiles
            label={t("compute.machines")}
            tiles={[
              { label: t("compute.machines"), value: number(data.machines.length, tag) },
              { label: t("compute.cpus"), value: `${number(used.cpus, tag)} / ${number(has.cpus, tag)}`, note: t("compute.inUse") },
              { label: t("compute.memory_mb"), value: `${memory(used.memory_mb)} / ${memory(has.memory_mb)}`, note: t("compute.inUse") },
              ...(has.gpus > 0 ? [{ label: t("compute.gpus"), value: `${number(used.gpus, tag)} / ${number(has.gpus, tag)}`, note: t("compute.inUse") }] : []),
              { label: t("compute.running"), value: number(running, tag) },
            ]}
          />
          <Projects queue={data} onEdit={me?.is_admin && may("runs.limit") ? setEdited : null} />
          <Waiting queue={data} />
          <Schedules />
          {may("runs.list") && <RunHistory />}
        </div>
      )}
      <Dialog opened={edited !== null} onClose={() => setEdited(null)} title={t("compute.quotaOf", { project: edited?.project ?? "" })}>
        {edited && <QuotaForm project={edited} onClose={() => setEdited(null)} />}
      </Dialog>
    </Page>
  );
}
