/** Split a version in two: rows to learn from, rows to measure on. */
import { Button, Group, NumberInput, Select, Slider, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { request } from "../api/request";
import type { DatasetDetail, Run } from "../api/types";
import { number, percent } from "../format";
import { useSpeech } from "../i18n";
import { RunDialog, type RunFormProps } from "../parts/run-dialog";
import { Problem } from "../parts/words";

interface DialogProps {
  dataset: DatasetDetail;
  opened: boolean;
  onClose: () => void;
}

function SplitForm({ dataset, onStarted, onClose }: { dataset: DatasetDetail } & RunFormProps) {
  const { t, tag } = useSpeech();
  const [share, setShare] = useState(0.8);
  const [seed, setSeed] = useState<number | string>(0);
  const [stratify, setStratify] = useState<string | null>(null);
  const start = useMutation({
    mutationFn: () => {
      const fractions = { train: share, test: Number((1 - share).toFixed(4)) };
      return request<Run>("POST", `/datasets/${encodeURIComponent(dataset.ref)}/split`, { body: { fractions, seed: Number(seed) || 0, stratify } });
    },
    meta: { quiet: true },
    onSuccess: onStarted,
  });
  const kept = Math.round(dataset.rows * share);
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">{t("split.lead", { train: `${dataset.name}-train`, test: `${dataset.name}-test` })}</Text>
      <div>
        <Group justify="space-between" mb={6}>
          <Text size="sm" fw={500}>{t("split.share")}</Text>
          <Text size="sm" className="figures">{percent(share, tag)} · {number(kept, tag)} / {number(dataset.rows - kept, tag)}</Text>
        </Group>
        <Slider aria-label={t("split.share")} thumbLabel={t("split.share")} min={0.05} max={0.95} step={0.05} value={share} onChange={setShare} label={null} />
      </div>
      <Select label={t("split.stratify")} placeholder={t("split.noStratify")} data={dataset.schema.map(({ name }) => name)} value={stratify} onChange={setStratify} searchable clearable />
      <NumberInput label={t("train.seed")} value={seed} onChange={setSeed} min={0} allowDecimal={false} />
      {start.isError && <Problem error={start.error} />}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
        <Button loading={start.isPending} onClick={() => start.mutate()}>{t("split.submit")}</Button>
      </Group>
    </Stack>
  );
}

export function SplitDialog({ dataset, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  return (
    <RunDialog opened={opened} onClose={onClose} title={t("split.title", { name: dataset.ref })}>
      {(form) => <SplitForm dataset={dataset} {...form} />}
    </RunDialog>
  );
}
