/** One step of a recipe: on or off, where it stands, and its options. */
import { ActionIcon, Checkbox, Collapse, MultiSelect, NumberInput, Select, Switch, Textarea, TextInput, UnstyledButton } from "@mantine/core";
import { useState } from "react";

import type { Step } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import css from "./clean.module.css";
import { type DraftStep, type OptionSpec, parseMapping, parseValue, STEPS, writeMapping } from "./recipe";

interface OptionProps {
  option: OptionSpec;
  value: unknown;
  columns: string[];
  onChange: (value: unknown) => void;
}

function Option({ option, value, columns, onChange }: OptionProps) {
  const { t, say } = useSpeech();
  const label = t(option.label);
  const [text, setText] = useState(() => (option.kind === "mapping" ? writeMapping(value) : String(value ?? "")));
  switch (option.kind) {
    case "columns": {
      const chosen = Array.isArray(value) ? value.map(String) : [];
      return (
        <MultiSelect
          className={css.wide} size="xs" label={label} searchable clearable placeholder={chosen.length ? "" : t("clean.allColumns")}
          data={[...new Set([...columns, ...chosen])]} value={chosen} onChange={(next) => onChange(next.length ? next : null)}
        />
      );
    }
    case "choice": {
      const word = (choice: string) => ({ value: choice, label: option.name === "type" ? say("type", choice) : say("choice", choice) });
      return <Select size="xs" label={label} allowDeselect={false} data={(option.choices ?? []).map(word)} value={String(value ?? "")} onChange={onChange} />;
    }
    case "number":
      return <NumberInput size="xs" label={label} value={typeof value === "number" ? value : ""} onChange={(next) => onChange(next === "" ? null : Number(next))} />;
    case "flag":
      return <Checkbox size="xs" label={label} pb={7} checked={Boolean(value)} onChange={(event) => onChange(event.currentTarget.checked)} />;
    case "mapping":
      return (
        <Textarea
          className={css.wide} size="xs" label={label} description={t("clean.mappingHint")} autosize minRows={2} maxRows={8} value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            onChange(parseMapping(event.currentTarget.value));
          }}
        />
      );
    default:
      return (
        <TextInput
          size="xs" label={label} value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            onChange(parseValue(event.currentTarget.value));
          }}
        />
      );
  }
}

interface EditorProps {
  draft: DraftStep;
  index: number;
  columns: string[];
  onChange: (draft: DraftStep) => void;
  onRemove: () => void;
  onUp: (() => void) | null;
}

export function StepEditor({ draft, index, columns, onChange, onRemove, onUp }: EditorProps) {
  const { t, say } = useSpeech();
  const [open, setOpen] = useState(false);
  const { step, on } = draft;
  const options = (STEPS[step.step] ?? []).filter(({ when }) => !when || step[when[0]] === when[1]);
  const title = say("step", step.step);
  const summary = summaryOf(step, say, t("clean.allColumns"));
  const set = (name: string, value: unknown) => onChange({ ...draft, step: { ...step, [name]: value } as Step });
  return (
    <li className={css.step} data-on={on}>
      <div className={css.bar}>
        <Switch size="sm" checked={on} aria-label={t("clean.useStep", { n: index + 1, step: title })} onChange={(event) => onChange({ ...draft, on: event.currentTarget.checked })} />
        <UnstyledButton className={css.name} aria-expanded={open} onClick={() => setOpen(!open)}>
          {title}
          <small>{summary}</small>
        </UnstyledButton>
        {onUp && (
          <ActionIcon variant="subtle" color="gray" aria-label={t("clean.up", { n: index + 1 })} onClick={onUp}>
            <Icon name="up" size={16} />
          </ActionIcon>
        )}
        <ActionIcon variant="subtle" color="gray" aria-label={t("clean.removeStep", { n: index + 1 })} onClick={onRemove}>
          <Icon name="trash" size={16} />
        </ActionIcon>
      </div>
      <Collapse expanded={open}>
        <div className={css.options}>
          {options.map((option) => (
            <Option key={option.name} option={option} value={step[option.name]} columns={columns} onChange={(value) => set(option.name, value)} />
          ))}
        </div>
      </Collapse>
    </li>
  );
}

/** The options of a step in a few words. */
function summaryOf(step: Step, say: (prefix: string, word: string) => string, all: string): string {
  const words = ["strategy", "method", "case", "type", "outside"]
    .filter((name) => typeof step[name] === "string" && step[name] !== "none")
    .map((name) => say(name === "type" ? "type" : "choice", String(step[name])));
  const columns = Array.isArray(step.columns) ? step.columns.join(", ") : all;
  return [...words, columns].join(" · ");
}
