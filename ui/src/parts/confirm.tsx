/** The dialogs every noun shares: confirm a deletion, follow a run until it ends. */
import { Button, Group, Progress, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";

import { isOpen, run as runQuery } from "../api/queries";
import { useRunChanges } from "../api/stream";
import { request } from "../api/request";
import type { Run } from "../api/types";
import { useSpeech } from "../i18n";
import { titleOf } from "../runs/told";
import { Dialog } from "./dialog";
import { Problem, StateBadge } from "./words";

interface DeleteProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  text: string;
  /** Path under /v1 to delete. */
  path: string;
  done: string;
  noun: string;
  /** Leaves the page of what is gone, before anything is asked for again. */
  after?: () => Promise<void>;
}

export function ConfirmDelete({ opened, onClose, title, text, path, done, noun, after }: DeleteProps) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () => request<void>("DELETE", path),
    meta: { quiet: true },
    onSuccess: async () => {
      onClose();
      await after?.();
      notifications.show({ message: done });
      await client.invalidateQueries({ queryKey: [noun] });
    },
  });
  const close = () => {
    remove.reset();
    onClose();
  };
  return (
    <Dialog opened={opened} onClose={close} title={title}>
      <Stack gap="lg">
        <Text size="sm">{text}</Text>
        {remove.isError && <Problem error={remove.error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={close}>{t("do.cancel")}</Button>
          <Button color="red" loading={remove.isPending} onClick={() => remove.mutate()}>{t("do.delete")}</Button>
        </Group>
      </Stack>
    </Dialog>
  );
}

interface FollowProps {
  run: Run;
  onDone: (run: Run) => void;
  onClose: () => void;
}

/** Progress of a run inside the dialog that started it; `onDone` is called once, when it succeeded. */
export function FollowRun({ run: started, onDone, onClose }: FollowProps) {
  const { t, say } = useSpeech();
  const navigate = useNavigate();
  const client = useQueryClient();
  const told = useRunChanges(started.id);
  const { data = started } = useQuery({ ...runQuery(started.id, told), initialData: started });
  const succeeded = data.state === "succeeded";

  useEffect(() => {
    if (!succeeded) return;
    void client.invalidateQueries();
    onDone(data);
    // onDone belongs to the moment of success, not to later renders.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [succeeded]);

  const openRun = () => void navigate({ to: "/runs/$id", params: { id: data.id } });
  const failed = data.state === "failed" || data.state === "cancelled";
  return (
    <Stack gap="md" aria-live="polite">
      <Group justify="space-between">
        <Text fw={600}>{titleOf(data, say)}</Text>
        <StateBadge state={data.state} />
      </Group>
      {!failed && (
        <>
          <Progress value={succeeded ? 100 : Math.max(data.progress * 100, 3)} animated={!succeeded} aria-label={t("runs.progress")} />
          <Text size="sm" c="dimmed">{data.message || (data.state === "queued" ? t("follow.queued") : "\u00a0")}</Text>
        </>
      )}
      {failed && <Problem title={say("state", data.state)} error={new Error(data.error?.message ?? t("follow.failed"))} />}
      <Group justify="space-between" mt="xs">
        <Text size="xs" c="dimmed">{isOpen(data) ? t("follow.background") : ""}</Text>
        <Group gap="sm">
          <Button variant="default" onClick={openRun}>{t("do.openRun")}</Button>
          <Button variant="default" onClick={onClose}>{t("do.close")}</Button>
        </Group>
      </Group>
    </Stack>
  );
}
