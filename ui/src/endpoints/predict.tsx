/** The form made from the signature, and the answer to it. */
import { Button, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type Dispatch, memo, type SetStateAction, type SyntheticEvent, useCallback, useMemo, useState } from "react";

import { model as modelQuery, rows as rowsQuery } from "../api/queries";
import { request } from "../api/request";
import type { Endpoint, EndpointDetail, Prediction, Predictions } from "../api/types";
import { ShareBars } from "../charts/histogram";
import { number } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel } from "../parts/page";
import { Problem } from "../parts/words";
import { useSession } from "../session";
import css from "./endpoints.module.css";
import { type Field, type FieldProblem, fieldsOf, FIRST_FIELDS, MOST_FIELDS, named, rowOf, shownFields, textsOf } from "./form";

interface InputProps {
  field: Field;
  text: string;
  problem: FieldProblem | undefined;
  onChange: (name: string, text: string) => void;
}

/** Remembered, as a wide model has hundreds of them and one changes at a time. */
const Input = memo(function Input({ field, text, problem, onChange: tell }: InputProps) {
  const { t } = useSpeech();
  const onChange = (next: string) => tell(field.name, next);
  const error = problem && t(problem);
  const shared = { label: field.name, size: "sm" as const, error, placeholder: field.input.nullable ? t("endpoints.missing") : "" };
  if (field.kind === "select" || field.kind === "boolean") {
    const label = (choice: string) => (field.kind === "boolean" ? t(choice === "true" ? "word.yes" : "word.no") : choice);
    return (
      <Select
        {...shared} searchable={field.choices.length > 8} clearable value={text || null} onChange={(next) => onChange(next ?? "")}
        data={field.choices.map((value) => ({ value, label: label(value) }))}
      />
    );
  }
  return (
    <TextInput
      {...shared} value={text} onChange={(event) => onChange(event.currentTarget.value)} autoComplete="off"
      inputMode={field.kind === "number" ? "decimal" : undefined} className={field.kind === "number" ? "figures" : undefined}
    />
  );
});

function Answer({ prediction, target }: { prediction: Prediction; target: string }) {
  const { t, tag } = useSpeech();
  const shares = Object.entries(prediction.probabilities ?? {}).map(([name, share]) => ({ name, share })).sort((a, b) => b.share - a.share);
  const value = prediction.value === undefined ? String(prediction.label ?? "–") : number(prediction.value, tag, 6);
  return (
    <div className={css.answer}>
      <div>
        <div className={css.note}>{t("endpoints.predicted", { target })}</div>
        <div className={css.big} data-testid="prediction">{value}</div>
      </div>
      {shares.length > 0 && (
        <div>
          <div className={css.note} style={{ marginBottom: 8 }}>{t("endpoints.probabilities")}</div>
          <ShareBars bars={shares.slice(0, 12)} />
        </div>
      )}
    </div>
  );
}

/** Rows of the dataset the model learned from, to fill the form with something real. */
function FillButton({ endpoint, fields, onFill }: { endpoint: Endpoint; fields: Field[]; onFill: (texts: Record<string, string>) => void }) {
  const { t } = useSpeech();
  const { may } = useSession();
  const [at, setAt] = useState(0);
  const learned = useQuery({ ...modelQuery(endpoint.model), enabled: may("models.get"), meta: {} });
  const sample = useQuery({ ...rowsQuery(learned.data?.dataset ?? "", 0, 50), enabled: Boolean(learned.data?.dataset) && may("datasets.rows") });
  const data = sample.data;
  if (!data || data.rows.length === 0) return null;
  const fill = () => {
    onFill(textsOf(fields, data.columns, data.rows[at % data.rows.length] ?? []));
    setAt(at + 1);
  };
  return <Button variant="subtle" onClick={fill}>{t("endpoints.fromData")}</Button>;
}

export function usePrediction(endpoint: Endpoint) {
  return useMutation({
    mutationFn: (row: Record<string, unknown>) => request<Predictions>("POST", `/endpoints/${encodeURIComponent(endpoint.name)}/predict`, { body: [row] }),
    meta: { quiet: true },
  });
}

type PredictionMutation = ReturnType<typeof usePrediction>;

interface PredictProps {
  endpoint: EndpointDetail;
  texts: Record<string, string>;
  onTexts: Dispatch<SetStateAction<Record<string, string>>>;
  predict: PredictionMutation;
}

interface FieldsProps {
  fields: Field[];
  texts: Record<string, string>;
  problems: Record<string, FieldProblem>;
  onChange: (name: string, text: string) => void;
}

/** The form's fields; of a wide model the first, and what is searched for. */
function Fields({ fields, texts, problems, onChange }: FieldsProps) {
  const { t } = useSpeech();
  const [search, setSearch] = useState("");
  const [all, setAll] = useState(false);
  const wide = fields.length > MOST_FIELDS;
  const found = named(fields, search);
  const shown = shownFields(fields, found, all || !wide, problems);
  return (
    <>
      {wide && (
        <TextInput
          size="sm" mb="md" maw={340} aria-label={t("profile.find")} placeholder={t("profile.find")} leftSection={<Icon name="search" size={16} />} value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
      )}
      {shown.length === 0 && wide && <p className={css.note}>{t("profile.noMatch")}</p>}
      <div className={css.fields}>
        {shown.map((field) => <Input key={field.name} field={field} text={texts[field.name] ?? ""} problem={problems[field.name]} onChange={onChange} />)}
      </div>
      {wide && found.length > FIRST_FIELDS && (
        <Button variant="subtle" color="gray" px={8} mt="sm" aria-expanded={all} onClick={() => setAll(!all)}>{all ? t("live.fewer") : t("live.allColumns", { n: found.length })}</Button>
      )}
    </>
  );
}

const NO_PROBLEMS: Record<string, FieldProblem> = {};

export function PredictForm({ endpoint, texts, onTexts, predict }: PredictProps) {
  const { t } = useSpeech();
  const { may } = useSession();
  const [asked, setAsked] = useState(false);
  const fields = useMemo(() => fieldsOf(endpoint.signature), [endpoint.signature]);
  const { row, problems } = rowOf(fields, texts);
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setAsked(true);
    if (Object.keys(problems).length === 0) predict.mutate(row);
  };
  const change = useCallback((name: string, text: string) => onTexts((before) => ({ ...before, [name]: text })), [onTexts]);
  const ready = endpoint.state === "ready";
  return (
    <Panel title={t("endpoints.try")} hint={ready ? t("endpoints.tryHint") : t("endpoints.notReady")}>
      <form onSubmit={submit} noValidate>
        <Fields fields={fields} texts={texts} problems={asked ? problems : NO_PROBLEMS} onChange={change} />
        <div className={css.foot}>
          <FillButton endpoint={endpoint} fields={fields} onFill={onTexts} />
          <Button variant="default" onClick={() => onTexts({})}>{t("do.reset")}</Button>
          <Button type="submit" disabled={!ready || !may("endpoints.predict")} loading={predict.isPending} leftSection={<Icon name="right" size={16} />}>{t("do.predict")}</Button>
        </div>
      </form>
    </Panel>
  );
}

export function AnswerPanel({ predict, target }: { predict: PredictionMutation; target: string }) {
  const { t } = useSpeech();
  const prediction = predict.data?.predictions[0];
  return (
    <Panel title={t("endpoints.answer")}>
      <div aria-live="polite" role="status" aria-label={t("endpoints.answer")}>
        {predict.isError && <Problem error={predict.error} />}
        {!predict.isError && prediction && <Answer prediction={prediction} target={target} />}
        {!predict.isError && !prediction && <span className={css.note}>{t("endpoints.noAnswer")}</span>}
      </div>
    </Panel>
  );
}
