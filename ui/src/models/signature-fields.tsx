/** What a registered model takes and answers: filled in, or a JSON file. */
import { Button, FileButton, Group, SegmentedControl, Stack, TagsInput, Text, Textarea, TextInput } from "@mantine/core";

import { useSpeech } from "../i18n";
import { ChosenFile } from "../parts/files";
import type { Declared } from "./bundle";
import css from "./models.module.css";

interface Props {
  /** A graph goes without a signature, code does not. */
  optional: boolean;
  file: File | null;
  declared: Declared;
  disabled: boolean;
  onFile: (file: File | null) => void;
  onDeclared: (declared: Declared) => void;
}

function Written({ declared, onDeclared }: Pick<Props, "declared" | "onDeclared">) {
  const { t, say } = useSpeech();
  const change = (part: Partial<Declared>) => onDeclared({ ...declared, ...part });
  return (
    <>
      <SegmentedControl
        size="xs" aria-label={t("word.task")} value={declared.task} onChange={(task) => change({ task: task as Declared["task"] })}
        data={["classification", "regression"].map((value) => ({ value, label: say("task", value) }))}
      />
      <TextInput label={t("word.target")} description={t("register.targetHint")} value={declared.target} onChange={(event) => change({ target: event.currentTarget.value })} />
      {declared.task === "classification" && (
        <TagsInput
          label={t("models.classes")} description={t("register.classesHint")} placeholder={declared.classes.length ? "" : t("register.classesPlaceholder")} value={declared.classes}
          onChange={(classes) => change({ classes })}
        />
      )}
      <Textarea
        label={t("register.columns")} description={t("register.columnsHint")} placeholder={"days_late: number\ncity: text"} autosize minRows={3} maxRows={9} spellCheck={false}
        classNames={{ input: "mono" }} value={declared.columns} onChange={(event) => change({ columns: event.currentTarget.value })}
      />
    </>
  );
}

export function SignatureFields({ optional, file, declared, disabled, onFile, onDeclared }: Props) {
  const { t } = useSpeech();
  return (
    <fieldset className={css.signature} disabled={disabled}>
      <legend>{t("models.signature")}</legend>
      <Stack gap="sm">
        <Group justify="space-between" wrap="nowrap" align="flex-start" gap="sm">
          <Text size="sm" c="dimmed">{t(optional ? "register.signatureGraph" : "register.signatureCode")}</Text>
          {!file && (
            <FileButton accept=".json" onChange={(chosen) => chosen && onFile(chosen)} inputProps={{ "aria-label": t("register.signatureFile") }}>
              {(props) => <Button {...props} size="compact-sm" variant="default" style={{ flex: "none" }}>{t("register.chooseJson")}</Button>}
            </FileButton>
          )}
        </Group>
        {file ? <ChosenFile file={file} disabled={disabled} onRemove={() => onFile(null)} /> : <Written declared={declared} onDeclared={onDeclared} />}
      </Stack>
    </fieldset>
  );
}
