/** One model version: how good it is, where it comes from, what it takes and where it answers. */
import { ActionIcon, Button, Select, Skeleton, Stack } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { endpoints as endpointsQuery, lineage as lineageQuery, model as modelQuery } from "../api/queries";
import { download, withoutCommand } from "../api/request";
import type { Evaluation, ModelDetail, Plot } from "../api/types";
import { LineagePicture } from "../charts/lineage";
import { withEndpoints } from "../charts/lineage-layout";
import { ModelPlot } from "../charts/plots";
import { DeployDialog } from "../endpoints/deploy-dialog";
import { bytes, moment } from "../format";
import { isKey, useSpeech } from "../i18n";
import { Icon } from "../icons";
import { ConfirmDelete } from "../parts/confirm";
import { Facts, Page, PageSkeleton, Panel, Tiles } from "../parts/page";
import parts from "../parts/parts.module.css";
import { Copy, NameLink, Problem, RefChip, When } from "../parts/words";
import { useSession } from "../session";
import { EvaluateDialog } from "./evaluate-dialog";
import { metricName, metricText, ordered } from "./metrics";
import css from "./models.module.css";
import { PredictDialog } from "./predict-dialog";

type Dialog = "evaluate" | "predict" | "deploy" | "delete" | null;

/** A class of one's own and a server elsewhere have none: they answer behind endpoints only. */
const hasGraph = ({ recipe }: ModelDetail) => recipe !== "python" && recipe !== "openai" && recipe !== "files";

/** Kept as they came and never opened: there is nothing to deploy, and nothing that is predicted. */
const isFiles = ({ recipe }: ModelDetail) => recipe === "files";

function Actions({ model, onOpen }: { model: ModelDetail; onOpen: (dialog: Dialog) => void }) {
  const { t } = useSpeech();
  const { may } = useSession();
  const graph = hasGraph(model);
  const save = useMutation({ mutationFn: () => download(`/models/${encodeURIComponent(model.ref)}/export`, {}, `${model.name}-${model.version}.onnx`) });
  return (
    <>
      {graph && may("models.export") && <Button variant="default" leftSection={<Icon name="download" size={17} />} loading={save.isPending} onClick={() => save.mutate()}>{t("models.exportOnnx")}</Button>}
      {may("models.delete") && <Button variant="default" leftSection={<Icon name="trash" size={17} />} onClick={() => onOpen("delete")}>{t("do.delete")}</Button>}
      {graph && may("models.evaluate") && <Button variant="light" leftSection={<Icon name="evaluate" size={17} />} onClick={() => onOpen("evaluate")}>{t("do.evaluate")}</Button>}
      {graph && may("models.predict") && <Button variant="light" leftSection={<Icon name="arrow" size={17} />} onClick={() => onOpen("predict")}>{t("do.predict")}</Button>}
      {!isFiles(model) && may("endpoints.deploy") && <Button leftSection={<Icon name="deploy" size={17} />} onClick={() => onOpen("deploy")}>{t("do.deploy")}</Button>}
    </>
  );
}

const PLOT_ORDER: Plot["kind"][] = ["report", "importance", "leaderboard", "certainty", "failures", "roc", "confusion", "predicted", "residuals", "coefficients", "calibration", "summary"];

function inOrder(plots: Plot[]): Plot[] {
  return [...plots].sort((a, b) => PLOT_ORDER.indexOf(a.kind) - PLOT_ORDER.indexOf(b.kind));
}

function PlotPanel({ plot }: { plot: Plot }) {
  const { t } = useSpeech();
  const [title, hint] = [`plot.${plot.kind}`, `plot.${plot.kind}Hint`];
  if (!isKey(title)) return null;
  return (
    <Panel title={t(title)} hint={isKey(hint) ? t(hint) : undefined}>
      <ModelPlot plot={plot} />
    </Panel>
  );
}

function LineagePanel({ model }: { model: ModelDetail }) {
  const { t } = useSpeech();
  const { may } = useSession();
  const { data, error } = useQuery(lineageQuery(model.ref));
  const answering = useQuery({ ...endpointsQuery(), enabled: may("endpoints.list") });
  const whole = useMemo(() => data && withEndpoints(data, model.ref, answering.data?.items ?? []), [data, model.ref, answering.data]);
  return (
    <Panel title={t("models.lineage")} hint={t("models.lineageHint")}>
      {error && <Problem error={error} />}
      {!whole && !error && <Skeleton height={84} radius="md" />}
      {whole && <LineagePicture lineage={whole} here={`model:${model.ref}`} />}
    </Panel>
  );
}

function SignaturePanel({ model }: { model: ModelDetail }) {
  const { t, say } = useSpeech();
  const { inputs, classes } = model.signature;
  return (
    <Panel title={t("models.signature")} hint={classes ? `${t("models.classes")}: ${classes.join(", ")}` : undefined} flush>
      <div className={parts.scroll} style={{ maxHeight: 420, overflowY: "auto" }}>
        <table className={parts.table} aria-label={t("models.signature")}>
          <thead>
            <tr>
              <th>{t("word.name")}</th>
              <th>{t("word.type")}</th>
              <th />
              <th>{t("word.values")}</th>
            </tr>
          </thead>
          <tbody>
            {inputs.map(({ name, type, nullable, values }) => (
              <tr key={name}>
                <td>{name}</td>
                <td className={parts.quiet}>{say("type", type)}</td>
                <td className={parts.quiet}>{nullable ? t("word.optional") : t("word.required")}</td>
                <td><div className={css.values} title={values?.join(", ")}>{values?.length ? values.join(", ") : "–"}</div></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** The plots of one evaluation. Weights are left out: they are the model's own, the same on every dataset. */
function plotsOf({ plots = [] }: Evaluation): Plot[] {
  return inOrder(plots.filter(({ kind }) => kind !== "coefficients"));
}

function EvaluationPlots({ one }: { one: Evaluation }) {
  const { t } = useSpeech();
  return (
    <div className={css.below} role="group" aria-label={t("models.plotsOf", { name: one.dataset })}>
      <h3 className={css.belowTitle}>{t("models.plotsOf", { name: one.dataset })}</h3>
      <div className={css.plots}>
        {plotsOf(one).map((plot) => {
          const title = `plot.${plot.kind}`;
          return isKey(title) && <div key={plot.kind}><h4 className={css.plotTitle}>{t(title)}</h4><ModelPlot plot={plot} /></div>;
        })}
      </div>
    </div>
  );
}

interface EvaluationProps {
  one: Evaluation;
  keys: string[];
  open: boolean;
  onToggle: () => void;
}

function EvaluationRow({ one, keys, open, onToggle }: EvaluationProps) {
  const { t, tag } = useSpeech();
  const label = t("models.plotsOf", { name: one.dataset });
  return (
    <tr>
      <td className={css.toggle}>
        {plotsOf(one).length > 0 && (
          <ActionIcon variant="subtle" color="gray" aria-label={label} title={label} aria-expanded={open} onClick={onToggle}>
            <Icon name={open ? "up" : "down"} size={17} />
          </ActionIcon>
        )}
      </td>
      <td><RefChip id={one.dataset} kind="dataset" /></td>
      {keys.map((key) => <td key={key} className={parts.numeric}>{metricText(key, one.metrics[key] ?? null, tag)}</td>)}
      <td className={parts.quiet}>{one.run_id ? <NameLink to={`/runs/${one.run_id}`}><When time={one.created_at} /></NameLink> : <When time={one.created_at} />}</td>
    </tr>
  );
}

function EvaluationsPanel({ model }: { model: ModelDetail }) {
  const { t, say } = useSpeech();
  const [open, setOpen] = useState<number | null>(null);
  const shown = open === null ? undefined : model.evaluations[open];
  const keys = [...new Set(model.evaluations.flatMap(({ metrics }) => ordered(metrics, model.task).map(([key]) => key)))];
  return (
    <Panel title={t("models.evaluations")} flush={model.evaluations.length > 0}>
      {model.evaluations.length === 0 && <span style={{ color: "var(--faint)" }}>{t("models.noEvaluations")}</span>}
      {model.evaluations.length > 0 && (
        <div className={parts.scroll}>
          <table className={parts.table} aria-label={t("models.evaluations")}>
            <thead>
              <tr>
                <th className={css.toggle} />
                <th>{t("word.dataset")}</th>
                {keys.map((key) => <th key={key} className={parts.numeric}>{metricName(key, say)}</th>)}
                <th>{t("word.created")}</th>
              </tr>
            </thead>
            <tbody>
              {model.evaluations.map((one, i) => (
                <EvaluationRow key={i} one={one} keys={keys} open={open === i} onToggle={() => setOpen(open === i ? null : i)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {shown && <EvaluationPlots one={shown} />}
    </Panel>
  );
}

function DetailsPanel({ model }: { model: ModelDetail }) {
  const { t, tag, say } = useSpeech();
  return (
    <Panel title={t("word.details")}>
      <Facts
        facts={[
          [t("word.task"), say("task", model.task)],
          [t("word.recipe"), say("recipe", model.recipe)],
          [t("word.target"), model.target],
          [t("word.dataset"), model.dataset ? <RefChip key="dataset" id={model.dataset} kind="dataset" /> : "–"],
          [t("word.run"), model.run_id && <RefChip key="run" id={model.run_id} kind="run" />],
          [t("word.created"), moment(model.created_at, tag)],
          [t("word.by"), model.created_by],
          [t("word.size"), bytes(model.size_bytes)],
          [t("models.digest"), <span key="digest" style={{ display: "flex", alignItems: "center" }}><span className="mono">{model.sha256.slice(0, 16)}…</span><Copy text={model.sha256} /></span>],
        ]}
      />
    </Panel>
  );
}

export function ModelPage() {
  const { t, tag, say } = useSpeech();
  const { ref } = useParams({ from: "/shell/models/$ref" });
  const navigate = useNavigate();
  const [dialog, setDialog] = useState<Dialog>(null);
  const { data: model, error, refetch } = useQuery(modelQuery(ref));
  const parent = { to: "/models", label: t("nav.models"), icon: "models" } as const;
  if (error) return <Page title={ref} parent={parent}><Problem error={error} onRetry={() => void refetch()} /></Page>;
  if (!model) return <PageSkeleton />;
  const close = () => setDialog(null);
  return (
    <Page
      title={model.name}
      parent={parent}
      beside={
        <Select
          size="xs" w={132} aria-label={t("word.version")} allowDeselect={false} value={model.ref}
          onChange={(to) => to && void navigate({ to: "/models/$ref", params: { ref: to } })}
          data={model.versions.map(({ ref: value, version }, i) => ({ value, label: `@${version}${i === 0 ? ` · ${t("word.latest")}` : ""}` }))}
        />
      }
      lead={<>{say("recipe", model.recipe)}{!isFiles(model) && <> → <b style={{ fontWeight: 600 }}>{model.target}</b></>} · <When time={model.created_at} /> · {model.created_by}</>}
      actions={<Actions model={model} onOpen={setDialog} />}
    >
      <Stack gap={20}>
        {model.notes?.map((note) => (
          <div key={note} className={css.note}>
            <Icon name="alert" size={16} />
            {withoutCommand(note)}
          </div>
        ))}
        {ordered(model.metrics, model.task).length > 0 && <Tiles label={t("models.headline")} tiles={ordered(model.metrics, model.task).map(([key, value]) => ({ label: metricName(key, say), value: metricText(key, value, tag) }))} />}
        <LineagePanel model={model} />
        {model.plots.length > 0 && <div className={css.plots}>{inOrder(model.plots).map((plot, i) => <PlotPanel key={i} plot={plot} />)}</div>}
        {(hasGraph(model) || model.evaluations.length > 0) && <EvaluationsPanel model={model} />}
        <div className={css.pair}>
          {!isFiles(model) && <SignaturePanel model={model} />}
          <DetailsPanel model={model} />
        </div>
      </Stack>
      <EvaluateDialog key={`evaluate ${model.ref}`} model={model} opened={dialog === "evaluate"} onClose={close} />
      <PredictDialog key={`predict ${model.ref}`} model={model} opened={dialog === "predict"} onClose={close} />
      <DeployDialog key={`deploy ${model.ref}`} model={model} opened={dialog === "deploy"} onClose={close} />
      <ConfirmDelete
        opened={dialog === "delete"} onClose={close} title={t("models.deleteTitle", { name: model.ref })} text={t("models.deleteText")} noun="models"
        path={`/models/${encodeURIComponent(model.ref)}`} done={t("models.deleted", { name: model.ref })} after={() => navigate({ to: "/models" })}
      />
    </Page>
  );
}
