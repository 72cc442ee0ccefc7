/** One dataset version: its profile, rows, schema, report and versions, and what can be made of it. */
import { Button, Menu, Select, Stack, Tabs } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { dataset as datasetQuery } from "../api/queries";
import { download } from "../api/request";
import type { DatasetDetail } from "../api/types";
import { bytes, number, percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { TrainDialog } from "../models/train-dialog";
import { ConfirmDelete } from "../parts/confirm";
import { Page, PageSkeleton, Tiles } from "../parts/page";
import { Problem, RefChip, When } from "../parts/words";
import { useSession } from "../session";
import { CleanDialog } from "./clean-dialog";
import { ProfileTab } from "./profile";
import { ReportTab } from "./report";
import { RowsTab } from "./rows";
import { SchemaTab, VersionsTab } from "./schema";
import { SplitDialog } from "./split-dialog";

type Dialog = "clean" | "train" | "split" | "delete" | null;

function ExportMenu({ dataset }: { dataset: DatasetDetail }) {
  const { t } = useSpeech();
  const save = useMutation({
    mutationFn: (format: string) =>
      download(`/datasets/${encodeURIComponent(dataset.ref)}/export`, { format }, `${dataset.name}-${dataset.version}.${format}`),
    onSuccess: (masked) => {
      const message = masked.length ? t("datasets.exportMasked", { columns: masked.join(", ") }) : t("datasets.exported");
      notifications.show({ message, color: masked.length ? "ember" : "petrol" });
    },
  });
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <Button variant="default" loading={save.isPending} leftSection={<Icon name="download" size={17} />}>{t("do.export")}</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {[["csv", "CSV"], ["parquet", "Parquet"], ["jsonl", "JSON lines"]].map(([format, label]) => (
          <Menu.Item key={format} onClick={() => save.mutate(format ?? "csv")}>{label}</Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function Actions({ dataset, onOpen }: { dataset: DatasetDetail; onOpen: (dialog: Dialog) => void }) {
  const { t } = useSpeech();
  const { may } = useSession();
  return (
    <>
      {may("datasets.export") && <ExportMenu dataset={dataset} />}
      {may("datasets.split") && <Button variant="default" leftSection={<Icon name="split" size={17} />} onClick={() => onOpen("split")}>{t("do.split")}</Button>}
      {may("datasets.delete") && <Button variant="default" leftSection={<Icon name="trash" size={17} />} onClick={() => onOpen("delete")}>{t("do.delete")}</Button>}
      {may("datasets.clean") && <Button variant="light" leftSection={<Icon name="clean" size={17} />} onClick={() => onOpen("clean")}>{t("do.clean")}</Button>}
      {may("models.train") && <Button leftSection={<Icon name="train" size={17} />} onClick={() => onOpen("train")}>{t("do.train")}</Button>}
    </>
  );
}

function Headline({ dataset }: { dataset: DatasetDetail }) {
  const { t, tag } = useSpeech();
  const missing = dataset.schema.reduce((sum, { nulls }) => sum + (nulls ?? 0), 0);
  const locked = dataset.schema.filter((column) => column.class !== "plain").length;
  const cells = Math.max(dataset.rows * dataset.columns, 1);
  return (
    <Tiles
      label={t("word.details")}
      tiles={[
        { label: t("word.rows"), value: number(dataset.rows, tag) },
        { label: t("word.columns"), value: number(dataset.columns, tag), note: locked ? t("datasets.personalColumns", { n: locked }) : undefined },
        { label: t("word.nulls"), value: percent(missing / cells, tag), note: `${number(missing, tag)} ${t("datasets.missingCells")}` },
        { label: t("word.size"), value: bytes(dataset.size_bytes) },
      ]}
    />
  );
}

const TABS = ["profile", "rows", "schema", "report"] as const;

export function DatasetPage() {
  const { t, say } = useSpeech();
  const { ref } = useParams({ from: "/shell/datasets/$ref" });
  const { tab = "profile" } = useSearch({ from: "/shell/datasets/$ref" });
  const navigate = useNavigate();
  const [dialog, setDialog] = useState<Dialog>(null);
  const { data, error, refetch } = useQuery(datasetQuery(ref));
  const parent = { to: "/datasets", label: t("nav.datasets"), icon: "datasets" } as const;
  if (error) return <Page title={ref} parent={parent}><Problem error={error} onRetry={() => void refetch()} /></Page>;
  if (!data) return <PageSkeleton />;
  const close = () => setDialog(null);
  const go = (to: string) => void navigate({ to: "/datasets/$ref", params: { ref: to }, search: { tab } });

  return (
    <Page
      title={data.name}
      parent={parent}
      beside={
        <Select
          size="xs" w={132} aria-label={t("word.version")} allowDeselect={false} value={data.ref} onChange={(to) => to && go(to)}
          data={data.versions.map(({ ref: value, version }, i) => ({ value, label: `@${version}${i === 0 ? ` · ${t("word.latest")}` : ""}` }))}
        />
      }
      lead={
        <span style={{ display: "inline-flex", gap: 8, alignItems: "center", flexWrap: "wrap" }}>
          {t("word.madeBy")} {say("made", data.made_by)}{!data.parent && " ·"}
          {data.parent && <RefChip id={data.parent} kind="dataset" />}
          <span>{data.parent && "· "}<When time={data.created_at} /> · {data.created_by}</span>
        </span>
      }
      actions={<Actions dataset={data} onOpen={setDialog} />}
    >
      <Stack gap="lg">
        <Headline dataset={data} />
        <Tabs value={tab} onChange={(next) => void navigate({ to: "/datasets/$ref", params: { ref }, search: { tab: next ?? undefined }, replace: true })} keepMounted={false}>
          <Tabs.List mb="md">
            {TABS.map((name) => <Tabs.Tab key={name} value={name}>{t(`datasets.tab.${name}`)}</Tabs.Tab>)}
            <Tabs.Tab value="versions">{t("word.versions")}</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="profile"><ProfileTab reference={data.ref} /></Tabs.Panel>
          <Tabs.Panel value="rows"><RowsTab key={data.ref} dataset={data} /></Tabs.Panel>
          <Tabs.Panel value="schema"><SchemaTab dataset={data} /></Tabs.Panel>
          <Tabs.Panel value="report"><ReportTab reference={data.ref} /></Tabs.Panel>
          <Tabs.Panel value="versions"><VersionsTab dataset={data} /></Tabs.Panel>
        </Tabs>
      </Stack>
      <CleanDialog key={`clean ${data.ref}`} dataset={data} opened={dialog === "clean"} onClose={close} />
      <TrainDialog key={`train ${data.ref}`} dataset={data} opened={dialog === "train"} onClose={close} />
      <SplitDialog key={`split ${data.ref}`} dataset={data} opened={dialog === "split"} onClose={close} />
      <ConfirmDelete
        opened={dialog === "delete"} onClose={close} title={t("datasets.deleteTitle", { name: data.ref })} text={t("datasets.deleteText")} noun="datasets"
        path={`/datasets/${encodeURIComponent(data.ref)}`} done={t("datasets.deleted", { name: data.ref })} after={() => navigate({ to: "/datasets" })}
      />
    </Page>
  );
}
