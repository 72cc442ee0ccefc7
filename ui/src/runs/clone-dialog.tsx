/** Submits a command anew, with the folder of an earlier run: everything else can be changed before. */
import { Button, Group, NumberInput, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { submitLike } from "../api/request";
import type { Run } from "../api/types";
import { useSpeech } from "../i18n";
import { Dialog } from "../parts/dialog";
import { Problem } from "../parts/words";
import { changesOf, splitCommand, type Wish, wishOf } from "./command";

const NUMBERS = [
  ["workers", "word.workers", 1],
  ["cpus", "clone.cpus", 0],
  ["memory_mb", "clone.memory", 0],
  ["gpus", "clone.gpus", 0],
  ["priority", "runs.priority", -100],
  ["retries", "clone.retries", 0],
] as const;

export function CloneDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [wish, setWish] = useState<Wish>(() => wishOf(run));
  const change = (changes: Partial<Wish>) => setWish((now) => ({ ...now, ...changes }));
  const submit = useMutation({
    mutationFn: () => submitLike({ ...changesOf(run, wish), like: run.id }),
    meta: { quiet: true },
    onSuccess: async (answer) => {
      onClose();
      await client.invalidateQueries({ queryKey: ["runs"] });
      await navigate({ to: "/runs/$id", params: { id: answer.id } });
    },
  });
  const words = splitCommand(wish.command);
  const wrong = words === null ? t("clone.quote") : words.length === 0 ? t("clone.noCommand") : null;
  const send = (event: SyntheticEvent) => {
    event.preventDefault();
    if (!wrong) submit.mutate();
  };
  return (
    <Dialog opened onClose={onClose} title={t("clone.title")} size={560}>
      <form onSubmit={send}>
        <Stack gap="md">
          <Text size="sm">{t("clone.text")}</Text>
          <Textarea
            label={t("clone.command")} autosize minRows={2} maxRows={8} value={wish.command} error={wrong} spellCheck={false} data-autofocus
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 13 } }} onChange={(event) => change({ command: event.currentTarget.value })}
          />
          <TextInput label={t("word.name")} value={wish.name} maxLength={128} onChange={(event) => change({ name: event.currentTarget.value })} />
          <div style={{ display: "grid", gridTemplateColumns: "repeat(auto-fit, minmax(140px, 1fr))", gap: 14 }}>
            {NUMBERS.map(([part, label, least]) => (
              <NumberInput
                key={part} label={t(label)} min={least} allowDecimal={part === "cpus"} allowNegative={least < 0} value={wish[part]}
                onChange={(value) => value !== "" && change({ [part]: Number(value) })}
              />
            ))}
          </div>
          <Group grow align="flex-start">
            <TextInput label={t("clone.environment")} placeholder={t("clone.asBefore")} value={wish.environment} spellCheck={false} onChange={(event) => change({ environment: event.currentTarget.value })} />
            <NumberInput label={t("clone.timeout")} placeholder={t("clone.asBefore")} min={0} allowDecimal={false} value={wish.timeout_s ?? ""} onChange={(value) => change({ timeout_s: value === "" ? null : Number(value) })} />
          </Group>
          {submit.isError && <Problem error={submit.error} />}
          <Group justify="flex-end" gap="sm">
            <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
            <Button type="submit" loading={submit.isPending} disabled={wrong !== null}>{t("clone.start")}</Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
