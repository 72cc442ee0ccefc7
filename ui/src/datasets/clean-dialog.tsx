/** Clean a version: the suggested steps, to switch off, change, order or write as JSON. */
import { Button, Group, Menu, SegmentedControl, Select, Skeleton, Stack, Text, Textarea } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { profile } from "../api/queries";
import { request } from "../api/request";
import type { DatasetDetail, Recipe, Run } from "../api/types";
import { type Translate, useSpeech } from "../i18n";
import { Icon } from "../icons";
import { RunDialog, type RunFormProps } from "../parts/run-dialog";
import { Problem } from "../parts/words";
import css from "./clean.module.css";
import { type DraftStep, draftsOf, moved, newStep, parseRecipe, RecipeError, recipeOf, STEPS, writeRecipe } from "./recipe";
import { StepEditor } from "./step-editor";

interface StepsProps {
  drafts: DraftStep[];
  columns: string[];
  onChange: (drafts: DraftStep[]) => void;
}

function Steps({ drafts, columns, onChange }: StepsProps) {
  const { t, say } = useSpeech();
  return (
    <Stack gap="sm">
      {drafts.length === 0 && <Text size="sm" c="dimmed">{t("clean.noSteps")}</Text>}
      <div className={css.list}>
        <ol className={css.steps}>
          {drafts.map((draft, i) => (
            <StepEditor
              key={draft.key} draft={draft} index={i} columns={columns}
              onChange={(next) => onChange(drafts.map((one) => (one.key === draft.key ? next : one)))}
              onRemove={() => onChange(drafts.filter(({ key }) => key !== draft.key))}
              onUp={i > 0 ? () => onChange(moved(drafts, i, i - 1)) : null}
            />
          ))}
        </ol>
      </div>
      <Menu position="bottom-start" shadow="md">
        <Menu.Target>
          <Button variant="default" size="xs" leftSection={<Icon name="plus" size={15} />} style={{ alignSelf: "flex-start" }}>{t("clean.addStep")}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          {Object.keys(STEPS).map((name) => (
            <Menu.Item key={name} onClick={() => onChange([...drafts, newStep(name)])}>{say("step", name)}</Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </Stack>
  );
}

function problemOf(text: string, t: Translate): string | null {
  try {
    parseRecipe(text);
    return null;
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    return error.kind === "json" ? t("clean.badJson", { reason: error.message }) : t("clean.badRecipe");
  }
}

function CleanForm({ dataset, onStarted, onClose }: { dataset: DatasetDetail } & RunFormProps) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const [target, setTarget] = useState<string | null>(null);
  const [view, setView] = useState("steps");
  const [drafts, setDrafts] = useState<DraftStep[] | null>(null);
  const [text, setText] = useState("");
  const suggested = useQuery(profile(dataset.ref, target));
  const suggestion = suggested.data?.suggested_recipe;

  useEffect(() => {
    if (!suggestion) return;
    setDrafts(draftsOf(suggestion));
    setText(writeRecipe(suggestion));
  }, [suggestion]);

  const wrong = view === "json" ? problemOf(text, t) : null;
  const start = useMutation({
    mutationFn: (recipe: Recipe) => request<Run>("POST", `/datasets/${encodeURIComponent(dataset.ref)}/clean`, { body: { recipe, target } }),
    meta: { quiet: true },
    onSuccess: async (run) => {
      onStarted(run);
      await client.invalidateQueries({ queryKey: ["runs"] });
    },
  });
  const turn = (next: string) => {
    if (next === "json") setText(writeRecipe(recipeOf(drafts ?? [])));
    else if (!wrong) setDrafts(draftsOf(parseRecipe(text)));
    else return;
    setView(next);
  };
  const columns = dataset.schema.map(({ name }) => name);

  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">{t("clean.lead")}</Text>
      <Select label={t("clean.target")} description={t("clean.targetHint")} placeholder={t("clean.noTarget")} data={columns} value={target} onChange={setTarget} searchable clearable />
      <SegmentedControl withItemsBorders={false} size="xs" style={{ alignSelf: "flex-start" }} value={view} onChange={turn} data={[{ value: "steps", label: t("clean.steps") }, { value: "json", label: t("clean.json") }]} />
      {suggested.error && <Problem error={suggested.error} />}
      {!drafts && !suggested.error && Array.from({ length: 3 }, (_, i) => <Skeleton key={i} height={52} radius="md" />)}
      {drafts && view === "steps" && <Steps drafts={drafts} columns={columns} onChange={setDrafts} />}
      {drafts && view === "json" && (
        <Textarea
          aria-label={t("word.recipe")} autosize minRows={8} maxRows={18} spellCheck={false} value={text} error={wrong} onChange={(event) => setText(event.currentTarget.value)}
          styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12.5 } }}
        />
      )}
      {start.isError && <Problem error={start.error} />}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
        <Button loading={start.isPending} disabled={!drafts || wrong !== null} onClick={() => start.mutate(view === "json" ? parseRecipe(text) : recipeOf(drafts ?? []))}>
          {t("clean.submit")}
        </Button>
      </Group>
    </Stack>
  );
}

interface DialogProps {
  dataset: DatasetDetail;
  opened: boolean;
  onClose: () => void;
}

export function CleanDialog({ dataset, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  return (
    <RunDialog opened={opened} onClose={onClose} title={t("clean.title", { name: dataset.ref })} size={640} tab="report">
      {(form) => <CleanForm dataset={dataset} {...form} />}
    </RunDialog>
  );
}
