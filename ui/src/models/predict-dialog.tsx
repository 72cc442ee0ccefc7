/** Predict a whole dataset: a new dataset version with its rows, its columns and the predictions. */
import { Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { datasets } from "../api/queries";
import { request } from "../api/request";
import type { ModelDetail, Run } from "../api/types";
import { useSpeech } from "../i18n";
import { RunDialog, type RunFormProps } from "../parts/run-dialog";
import { Problem } from "../parts/words";

interface DialogProps {
  model: ModelDetail;
  opened: boolean;
  onClose: () => void;
}

function PredictForm({ model, onStarted, onClose }: { model: ModelDetail } & RunFormProps) {
  const { t } = useSpeech();
  const [dataset, setDataset] = useState<string | null>(null);
  const [name, setName] = useState("");
  const { data } = useQuery(datasets());
  const start = useMutation({
    mutationFn: () => request<Run>("POST", `/models/${encodeURIComponent(model.ref)}/predict`, { body: { dataset, name: name || null } }),
    meta: { quiet: true },
    onSuccess: onStarted,
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    start.mutate();
  };
  const groups = (data?.items ?? []).map(({ name: group, versions }) => ({ group, items: versions.map(({ ref }) => ref) }));
  const usual = dataset ? `${dataset.split("@")[0]}-${model.name}` : "";
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Text size="sm" c="dimmed">{t("predictAll.lead")}</Text>
        <Select label={t("word.dataset")} data={groups} value={dataset} onChange={setDataset} searchable />
        <TextInput label={t("predictAll.name")} description={t("predictAll.nameHint")} placeholder={usual} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        {start.isError && <Problem error={start.error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
          <Button type="submit" disabled={!dataset} loading={start.isPending}>{t("predictAll.submit")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

export function PredictDialog({ model, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  return (
    <RunDialog opened={opened} onClose={onClose} title={t("predictAll.title", { name: model.ref })}>
      {(form) => <PredictForm model={model} {...form} />}
    </RunDialog>
  );
}
