/** Deploy a model version: name its endpoint and start it. */
import { Button, Group, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { request } from "../api/request";
import type { Endpoint, ModelDetail } from "../api/types";
import { useSpeech } from "../i18n";
import { Dialog } from "../parts/dialog";
import { Problem } from "../parts/words";

interface DialogProps {
  model: ModelDetail;
  opened: boolean;
  onClose: () => void;
}

/** What was filled in; nothing leaves the endpoint as it is, or with one worker when it is new. */
function rangeOf(least: number | null, most: number | null) {
  if (least === null && most === null) return undefined;
  return { min: least ?? Math.min(1, most ?? 1), max: most ?? Math.max(1, least ?? 1) };
}

export function DeployDialog({ model, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState(model.name);
  const [least, setLeast] = useState<number | null>(null);
  const [most, setMost] = useState<number | null>(null);
  const start = useMutation({
    mutationFn: () => request<Endpoint>("POST", "/endpoints/deploy", { body: { name, model: model.ref, workers: rangeOf(least, most) } }),
    meta: { quiet: true },
    onSuccess: async (endpoint) => {
      onClose();
      void client.invalidateQueries({ queryKey: ["endpoints"] });
      await navigate({ to: "/endpoints/$name", params: { name: endpoint.name } });
    },
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    start.mutate();
  };
  return (
    <Dialog opened={opened} onClose={onClose} title={t("deploy.title", { name: model.ref })}>
      <form onSubmit={submit}>
        <Stack gap="md">
          <Text size="sm" c="dimmed">{t("deploy.lead")}</Text>
          <TextInput label={t("deploy.name")} description={t("deploy.nameHint")} required withAsterisk={false} data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Group grow align="flex-start">
            <NumberInput label={t("deploy.least")} description={t("deploy.leastHint")} min={0} max={64} allowDecimal={false} value={least ?? ""} onChange={(next) => setLeast(next === "" ? null : Number(next))} />
            <NumberInput label={t("deploy.most")} description={t("deploy.mostHint")} min={1} max={64} allowDecimal={false} value={most ?? ""} onChange={(next) => setMost(next === "" ? null : Number(next))} />
          </Group>
          {start.isError && <Problem error={start.error} />}
          <Group justify="flex-end" gap="sm">
            <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
            <Button type="submit" disabled={!name} loading={start.isPending}>{t("deploy.submit")}</Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
