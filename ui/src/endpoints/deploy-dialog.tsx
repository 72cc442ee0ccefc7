/** Deploy a model version: name its endpoint and start it. */
import { Button, Collapse, Group, NumberInput, SegmentedControl, Select, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { endpoints } from "../api/queries";
import { request } from "../api/request";
import type { Endpoint, ModelDetail } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
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

type Part = "all" | "canary" | "shadow";
const PARTS: Part[] = ["all", "canary", "shadow"];

interface FieldProps {
  label: string;
  hint?: string;
  value: number | null;
  onChange: (value: number | null) => void;
  min?: number;
  max?: number;
  decimal?: boolean;
}

/** A number that may be left out. */
function Optional({ label, hint, value, onChange, min = 0, max, decimal = false }: FieldProps) {
  return <NumberInput label={label} description={hint} min={min} max={max} allowDecimal={decimal} value={value ?? ""} onChange={(next) => onChange(next === "" ? null : Number(next))} />;
}

export function DeployDialog({ model, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState(model.name);
  const [least, setLeast] = useState<number | null>(null);
  const [most, setMost] = useState<number | null>(null);
  const [replicas, setReplicas] = useState<number | null>(null);
  const [host, setHost] = useState("");
  const hosts = useQuery({ ...endpoints(), enabled: opened }).data?.items.filter((one) => !one.shares && one.name !== name) ?? [];
  const processes = host ? { shares: host } : { workers: rangeOf(least, most), replicas: replicas ?? undefined };
  const [part, setPart] = useState<Part>("all");
  const [share, setShare] = useState<number | null>(10);
  const [more, setMore] = useState(false);
  const [rate, setRate] = useState<number | null>(null);
  const [tokenRate, setTokenRate] = useState<number | null>(null);
  const [together, setTogether] = useState<number | null>(null);
  const limits = rate === null && tokenRate === null && together === null ? undefined : { max_rate: rate, max_token_rate: tokenRate, max_concurrency: together };
  const beside = part === "canary" ? { canary: share ?? 0 } : part === "shadow" ? { shadow: true } : {};
  const start = useMutation({
    mutationFn: () => request<Endpoint>("POST", "/endpoints/deploy", { body: { name, model: model.ref, ...processes, limits, ...beside } }),
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
          <div>
            <SegmentedControl fullWidth aria-label={t("deploy.part")} value={part} onChange={(next) => setPart(next as Part)} data={PARTS.map((value) => ({ value, label: t(`deploy.${value}`) }))} />
            <Text size="xs" c="dimmed" mt={6}>{t(`deploy.${part}Hint`)}</Text>
          </div>
          {part === "canary" && <Optional label={t("deploy.share")} min={1} max={99} value={share} onChange={setShare} />}
          {hosts.length > 0 && (
            <Select
              label={t("deploy.shares")} description={t("deploy.sharesHint")} allowDeselect={false} value={host} onChange={(next) => setHost(next ?? "")}
              data={[{ value: "", label: t("deploy.own") }, ...hosts.map((one) => ({ value: one.name, label: t("deploy.sharesWith", { name: one.name }) }))]}
            />
          )}
          {!host && (
            <Group grow align="flex-start">
              <Optional label={t("deploy.least")} hint={t("deploy.leastHint")} max={64} value={least} onChange={setLeast} />
              <Optional label={t("deploy.most")} hint={t("deploy.mostHint")} min={1} max={64} value={most} onChange={setMost} />
              <Optional label={t("deploy.replicas")} hint={t("deploy.replicasHint")} min={1} max={100} value={replicas} onChange={setReplicas} />
            </Group>
          )}
          <Collapse expanded={more}>
            <Text size="sm" c="dimmed" mb={8}>{t("deploy.limitsHint")}</Text>
            <SimpleGrid cols={{ base: 1, sm: 3 }} spacing="md">
              <Optional label={t("deploy.maxRate")} decimal value={rate} onChange={setRate} />
              <Optional label={t("deploy.maxTokenRate")} decimal value={tokenRate} onChange={setTokenRate} />
              <Optional label={t("deploy.maxConcurrency")} value={together} onChange={setTogether} />
            </SimpleGrid>
          </Collapse>
          {start.isError && <Problem error={start.error} />}
          <Group justify="space-between">
            <Button variant="subtle" color="gray" px={8} aria-expanded={more} onClick={() => setMore(!more)} rightSection={<Icon name={more ? "up" : "down"} size={15} />}>{t("deploy.limits")}</Button>
            <Group gap="sm">
              <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
              <Button type="submit" disabled={!name || (part === "canary" && !share)} loading={start.isPending}>{t("deploy.submit")}</Button>
            </Group>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
