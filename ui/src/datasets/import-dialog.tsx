/** Import a file: choose or drop it, say which columns are personal, watch it arrive. */
import { Button, Collapse, Group, Progress, Select, SimpleGrid, Stack, TagsInput, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { upload } from "../api/request";
import type { Run } from "../api/types";
import { nameFromFile, percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { ChosenFile, DropArea } from "../parts/files";
import { RunDialog, type RunFormProps } from "../parts/run-dialog";
import { Problem } from "../parts/words";
import { peek } from "./peek";

const ACCEPTED = ".csv,.tsv,.tab,.txt,.data,.parquet,.pq,.jsonl,.ndjson,.json";

interface Options {
  format: string | null;
  separator: string | null;
  encoding: string | null;
  header: string | null;
}

const DETECT: Options = { format: null, separator: null, encoding: null, header: null };

function FormatOptions({ options, onChange }: { options: Options; onChange: (options: Options) => void }) {
  const { t } = useSpeech();
  const field = (name: keyof Options, label: string, data: { value: string; label: string }[]) => (
    <Select
      size="sm" label={label} placeholder={t("import.detect")} clearable data={data} value={options[name]} onChange={(value) => onChange({ ...options, [name]: value })}
    />
  );
  const plain = (values: string[]) => values.map((value) => ({ value, label: value }));
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
      {field("format", t("import.format"), [{ value: "csv", label: "CSV / TSV" }, { value: "parquet", label: "Parquet" }, { value: "jsonl", label: "JSON lines" }])}
      {field("separator", t("import.separator"), [...plain([",", ";", "|"]), { value: "\t", label: t("import.tab") }])}
      {field("encoding", t("import.encoding"), plain(["utf-8", "utf-16", "latin-1", "windows-1252", "gb18030"]))}
      {field("header", t("import.header"), [{ value: "true", label: t("import.headerYes") }, { value: "false", label: t("import.headerNo") }])}
    </SimpleGrid>
  );
}

function ImportForm({ onStarted, onClose }: RunFormProps) {
  const { t, tag } = useSpeech();
  const client = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const [name, setName] = useState("");
  const [columns, setColumns] = useState<string[]>([]);
  const [personal, setPersonal] = useState<string[]>([]);
  const [secret, setSecret] = useState<string[]>([]);
  const [options, setOptions] = useState(DETECT);
  const [more, setMore] = useState(false);
  const [sent, setSent] = useState(0);

  const send = useMutation({
    mutationFn: (chosen: File) => upload<Run>("/datasets/import", chosen, { name, personal, secret, file_name: chosen.name, ...options }, setSent),
    meta: { quiet: true },
    onSuccess: async (run) => {
      onStarted(run);
      await client.invalidateQueries({ queryKey: ["runs"] });
    },
  });
  const choose = (chosen: File) => {
    setFile(chosen);
    send.reset();
    setName(nameFromFile(chosen.name));
    void peek(chosen).then(setColumns, () => setColumns([]));
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setSent(0);
    if (file) send.mutate(file);
  };
  const free = columns.filter((column) => !personal.includes(column) && !secret.includes(column));

  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        {!file && <DropArea accept={ACCEPTED} title={t("import.drop")} formats={t("import.formats")} onFiles={([first]) => first && choose(first)} />}
        {file && (
          <ChosenFile file={file} disabled={send.isPending} onRemove={() => setFile(null)} />
        )}
        <TextInput label={t("word.name")} description={t("import.nameHint")} required withAsterisk={false} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <TagsInput label={t("import.personal")} description={t("import.personalHint")} placeholder={personal.length ? "" : t("import.columnsPlaceholder")} data={free} value={personal} onChange={setPersonal} />
        <Collapse expanded={more}>
          <Stack gap="md">
            <TagsInput label={t("import.secret")} description={t("import.secretHint")} placeholder={secret.length ? "" : t("import.columnsPlaceholder")} data={free} value={secret} onChange={setSecret} />
            <FormatOptions options={options} onChange={setOptions} />
          </Stack>
        </Collapse>
        {send.isPending && (
          <div aria-live="polite">
            <Progress value={sent * 100} aria-label={t("runs.progress")} mb={6} />
            <small className="figures">{t("import.sending", { share: percent(sent, tag) })}</small>
          </div>
        )}
        {send.isError && <Problem error={send.error} />}
        <Group justify="space-between">
          <Button variant="subtle" color="gray" px={8} aria-expanded={more} onClick={() => setMore(!more)} rightSection={<Icon name={more ? "up" : "down"} size={15} />}>
            {t("import.options")}
          </Button>
          <Group gap="sm">
            <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
            <Button type="submit" disabled={!file || !name} loading={send.isPending}>{t("do.import")}</Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

export function ImportDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useSpeech();
  return (
    <RunDialog opened={opened} onClose={onClose} title={t("import.title")} size={560}>
      {(form) => <ImportForm {...form} />}
    </RunDialog>
  );
}
