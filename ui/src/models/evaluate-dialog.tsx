/** Measure a model version on another dataset. */
import { Button, Group, Select, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

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

function EvaluateForm({ model, onStarted, onClose }: { model: ModelDetail } & RunFormProps) {
  const { t } = useSpeech();
  const [dataset, setDataset] = useState<string | null>(null);
  const { data } = useQuery(datasets());
  const start = useMutation({
    mutationFn: () => request<Run>("POST", `/models/${encodeURIComponent(model.ref)}/evaluate`, { body: { dataset } }),
    meta: { quiet: true },
    onSuccess: onStarted,
  });
  const groups = (data?.items ?? []).map(({ name, versions }) => ({ group: name, items: versions.map(({ ref }) => ref) }));
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">{t("evaluate.lead")}</Text>
      <Select label={t("word.dataset")} data={groups} value={dataset} onChange={setDataset} searchable />
      {start.isError && <Problem error={start.error} />}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
        <Button disabled={!dataset} loading={start.isPending} onClick={() => start.mutate()}>{t("evaluate.submit")}</Button>
      </Group>
    </Stack>
  );
}

export function EvaluateDialog({ model, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  return (
    <RunDialog opened={opened} onClose={onClose} title={t("evaluate.title", { name: model.ref })}>
      {(form) => <EvaluateForm model={model} {...form} />}
    </RunDialog>
  );
}
