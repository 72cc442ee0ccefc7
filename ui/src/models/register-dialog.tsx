/** Register a model that was made elsewhere: a class in Python, an ONNX graph, or a server with the OpenAI API. */
import { Button, Group, PasswordInput, Progress, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { upload } from "../api/request";
import type { ModelVersion } from "../api/types";
import { nameFromFile, percent } from "../format";
import { useSpeech } from "../i18n";
import { Dialog } from "../parts/dialog";
import { ChosenFile, DropArea } from "../parts/files";
import { Problem } from "../parts/words";
import { asJson, type Declared, kindOf, MOST_BYTES, namesInside, pack, SIGNATURE, signatureOf, UNDECLARED, UPSTREAM } from "./bundle";
import { SignatureFields } from "./signature-fields";

type Source = "files" | "openai";

/** What the form has been told. */
interface Told {
  source: Source;
  name: string;
  files: File[];
  /** A JSON file; it stands in for `declared`. */
  signature: File | null;
  declared: Declared;
  baseUrl: string;
  apiKey: string;
}

const NOTHING: Told = { source: "files", name: "", files: [], signature: null, declared: UNDECLARED, baseUrl: "", apiKey: "" };

const read = async (file: File) => new Uint8Array(await file.arrayBuffer());
const isDeclared = ({ target, columns }: Declared) => Boolean(target.trim() || columns.trim());
const hasSignature = (files: readonly File[]) => files.some(({ name }) => name === SIGNATURE);

/** The archive to send. A zip archive goes as it is; code needs a signature, a graph gets one if it was filled in. */
async function bundleOf({ source, files, signature, declared, baseUrl, apiKey }: Told): Promise<Blob> {
  if (source === "openai") return pack({ [UPSTREAM]: asJson({ base_url: baseUrl.trim(), ...(apiKey ? { api_key: apiKey } : {}) }) });
  const names = files.map(({ name }) => name);
  const kind = kindOf(names);
  if (kind === "zip" && files[0]) return files[0];
  const inside = namesInside(names);
  const packed: Record<string, Uint8Array> = Object.fromEntries(await Promise.all(files.map(async (file, i) => [inside[i] ?? file.name, await read(file)] as const)));
  if (signature) packed[SIGNATURE] = await read(signature);
  else if (!hasSignature(files) && (kind === "code" || (kind === "graph" && isDeclared(declared)))) packed[SIGNATURE] = asJson(signatureOf(declared));
  return pack(packed);
}

interface PartProps {
  told: Told;
  onTell: (part: Partial<Told>) => void;
  busy: boolean;
}

function Files({ told: { files, signature, declared, name }, onTell, busy }: PartProps) {
  const { t } = useSpeech();
  const names = files.map((file) => file.name);
  const kind = kindOf(names);
  const inside = namesInside(names);
  const add = (more: File[]) => {
    const fresh = new Set(more.map((file) => file.name));
    const next = [...files.filter((file) => !fresh.has(file.name)), ...more];
    onTell({ files: next, name: name || nameFromFile(next[0]?.name ?? "") });
  };
  const described = files.length > 0 && (kind === "code" || kind === "graph") && !hasSignature(files);
  return (
    <>
      {files.map((file, i) => (
        <ChosenFile
          key={file.name} file={file} disabled={busy} note={kind !== "zip" && inside[i] !== file.name ? t("register.as", { name: inside[i] ?? "" }) : undefined}
          onRemove={() => onTell({ files: files.filter((one) => one !== file) })}
        />
      ))}
      <DropArea multiple small={files.length > 0} title={t(files.length ? "register.dropMore" : "register.drop")} formats={t("register.formats")} onFiles={add} />
      {described && (
        <SignatureFields
          optional={kind === "graph"} file={signature} declared={declared} disabled={busy} onFile={(chosen) => onTell({ signature: chosen })}
          onDeclared={(next) => onTell({ declared: next })}
        />
      )}
    </>
  );
}

function Server({ told: { baseUrl, apiKey }, onTell }: PartProps) {
  const { t } = useSpeech();
  return (
    <>
      <TextInput
        label={t("register.baseUrl")} description={t("register.baseUrlHint", { setting: "LEPTON_UPSTREAM_HOSTS" })} placeholder="http://127.0.0.1:8000/v1" inputMode="url" autoComplete="off"
        required withAsterisk={false} value={baseUrl} onChange={(event) => onTell({ baseUrl: event.currentTarget.value })}
      />
      <PasswordInput
        label={t("register.apiKey")} description={t("register.apiKeyHint")} autoComplete="off" value={apiKey} onChange={(event) => onTell({ apiKey: event.currentTarget.value })}
        visibilityToggleButtonProps={{ "aria-label": t("register.showKey") }}
      />
    </>
  );
}

function RegisterForm({ onClose }: { onClose: () => void }) {
  const { t, tag } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [told, setTold] = useState(NOTHING);
  const [sent, setSent] = useState(0);
  const send = useMutation({
    mutationFn: async () => upload<ModelVersion>("/models/register", await bundleOf(told), { name: told.name }, setSent),
    meta: { quiet: true },
    onSuccess: async ({ ref }) => {
      onClose();
      void client.invalidateQueries({ queryKey: ["models"] });
      await navigate({ to: "/models/$ref", params: { ref } });
    },
  });
  const tell = (part: Partial<Told>) => {
    setTold((before) => ({ ...before, ...part }));
    send.reset();
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setSent(0);
    send.mutate();
  };
  const tooLarge = told.source === "files" && told.files.reduce((sum, { size }) => sum + size, 0) > MOST_BYTES;
  const ready = told.name && (told.source === "files" ? told.files.length > 0 && !tooLarge : told.baseUrl.trim());
  const Part = told.source === "files" ? Files : Server;
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <SegmentedControl
          aria-label={t("register.source")} value={told.source} onChange={(source) => tell({ source: source as Source })} disabled={send.isPending}
          data={[{ value: "files", label: t("register.files") }, { value: "openai", label: t("register.openai") }]}
        />
        <Text size="sm" c="dimmed">{t(told.source === "files" ? "register.filesLead" : "register.openaiLead")}</Text>
        <Part told={told} onTell={tell} busy={send.isPending} />
        <TextInput label={t("train.modelName")} description={t("register.nameHint")} required withAsterisk={false} value={told.name} onChange={(event) => tell({ name: event.currentTarget.value })} />
        {tooLarge && <Problem error={t("register.tooLarge", { n: MOST_BYTES / 2 ** 20 })} />}
        {send.isPending && (
          <div aria-live="polite">
            <Progress value={sent * 100} aria-label={t("runs.progress")} mb={6} />
            <small className="figures">{sent < 1 ? t("import.sending", { share: percent(sent, tag) }) : t("register.checking")}</small>
          </div>
        )}
        {send.isError && <Problem error={send.error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
          <Button type="submit" disabled={!ready} loading={send.isPending}>{t("do.register")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

export function RegisterDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useSpeech();
  return (
    <Dialog opened={opened} onClose={onClose} title={t("register.title")} size={600}>
      <RegisterForm onClose={onClose} />
    </Dialog>
  );
}
