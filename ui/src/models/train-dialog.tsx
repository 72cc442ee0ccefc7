/** Train a model on a dataset version, or search for its best settings. The run's page shows the curves, the study's the trials. */
import { Button, Collapse, Group, MultiSelect, NumberInput, Select, SimpleGrid, Slider, Stack, Switch, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { request } from "../api/request";
import { proposed } from "../api/queries";
import type { DatasetDetail, Proposal, Run } from "../api/types";
import { percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Dialog } from "../parts/dialog";
import { Problem } from "../parts/words";
import { useSession } from "../session";
import { FIRST, SearchBegins, SearchFields, searchOf } from "./search-fields";

const RECIPES = ["auto", "logistic_regression", "linear_regression", "sklearn", "xgboost", "lightgbm", "pytorch", "keras", "jax", "transformers"];
/** Networks that the recipe pytorch has ready. */
const NETWORKS = ["mlp", "cnn", "resnet", "gru", "tcn", "transformer"];
const MOST_WORKERS = 64;
const MINUTE_S = 60;

/** Lines "name = value" as parameters: numbers and truth values as such, all else as text. */
export function parametersOf(text: string): Record<string, string | number | boolean> {
  const pairs = text.split("\n").map((line) => line.split("=")).filter(([name]) => name?.trim());
  return Object.fromEntries(pairs.map(([name, ...rest]) => [name?.trim(), typed(rest.join("=").trim())]));
}

function typed(value: string): string | number | boolean {
  if (value === "true" || value === "false") return value === "true";
  return value !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
}

interface DialogProps {
  dataset: DatasetDetail;
  opened: boolean;
  onClose: () => void;
}

function TrainForm({ dataset, onClose }: { dataset: DatasetDetail; onClose: () => void }) {
  const { t, tag, say } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [target, setTarget] = useState<string | null>(null);
  const [name, setName] = useState(dataset.name);
  const [recipe, setRecipe] = useState("auto");
  const [workers, setWorkers] = useState<number | string>(2);
  const [held, setHeld] = useState(0.2);
  const [seed, setSeed] = useState<number | string>(0);
  const [features, setFeatures] = useState<string[]>([]);
  const [model, setModel] = useState<string | null>(null);
  const [minutes, setMinutes] = useState<number | string>(0);
  const [parameters, setParameters] = useState("");
  const [more, setMore] = useState(false);
  const [searches, setSearches] = useState(false);
  const [sought, setSought] = useState(FIRST);
  const { may } = useSession();
  const fitting = useQuery(proposed(dataset.ref, target));
  const columns = dataset.schema.filter(({ masked }) => !masked).map((column) => column.name);

  const start = useMutation({
    mutationFn: () =>
      request<Run>("POST", searches ? "/models/tune" : "/models/train", {
        body: {
          name, dataset: dataset.ref, target, recipe, workers: Number(workers) || 1, params: parametersOf(parameters), test_fraction: held, seed: Number(seed) || 0,
          features: features.length ? features : null, model: recipe === "pytorch" ? (model ?? "") : "",
          budget_s: recipe === "auto" && !searches ? (Number(minutes) || 0) * MINUTE_S : 0,
          ...(searches ? searchOf(sought) : {}),
        },
      }),
    meta: { quiet: true },
    onSuccess: async (run) => {
      void client.invalidateQueries({ queryKey: ["runs"] });
      if (searches) return;
      onClose();
      await navigate({ to: "/runs/$id", params: { id: run.id } });
    },
  });
  const choose = (column: string | null) => {
    setTarget(column);
    start.reset();
  };
  const take = (proposal: Proposal) => {
    setRecipe(proposal.recipe);
    setModel(proposal.model || null);
    setMinutes(Number.parseInt(proposal.budget, 10) || 0);
    start.reset();
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    start.mutate();
  };

  if (searches && start.data) return <SearchBegins run={start.data} study={name} onClose={onClose} />;
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Text size="sm" c="dimmed">{t("train.lead")}</Text>
        <Select label={t("train.target")} description={t("train.targetHint")} data={columns} value={target} onChange={choose} searchable required withAsterisk={false} nothingFoundMessage={t("profile.noMatch")} />
        <TextInput label={t("train.modelName")} required withAsterisk={false} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <Select label={t("word.recipe")} inputWrapperOrder={["label", "input", "description", "error"]} description={t("train.recipeHint")} allowDeselect={false} data={RECIPES.map((value) => ({ value, label: say("recipe", value) }))} value={recipe} onChange={(next) => next && setRecipe(next)} />
          <NumberInput label={t("word.workers")} min={1} max={MOST_WORKERS} allowDecimal={false} value={workers} onChange={setWorkers} />
        </SimpleGrid>
        {recipe === "pytorch" && <Select label={t("train.network")} description={t("train.networkHint")} data={NETWORKS} value={model} onChange={setModel} placeholder="mlp" clearable />}
        {recipe === "auto" && !searches && <NumberInput label={t("train.budget")} description={t("train.budgetHint")} min={0} allowDecimal={false} value={minutes} onChange={setMinutes} />}
        {fitting.data && <Proposals found={fitting.data.proposals} onTake={take} />}
        {may("models.tune") && <Switch label={t("tune.switch")} description={t("tune.switchHint")} checked={searches} onChange={(event) => setSearches(event.currentTarget.checked)} />}
        {searches && <SearchFields sought={sought} onChange={setSought} />}
        <Collapse expanded={more}>
          <Stack gap="md">
            <Textarea label={t("word.parameters")} description={t("train.parametersHint")} placeholder={"max_depth = 4\nlearning_rate = 0.1"} autosize minRows={2} value={parameters} onChange={(event) => setParameters(event.currentTarget.value)} />
            <div>
              <Group justify="space-between" mb={6}>
                <Text size="sm" fw={500}>{t("train.holdOut")}</Text>
                <Text size="sm" className="figures">{percent(held, tag)}</Text>
              </Group>
              <Slider thumbLabel={t("train.holdOut")} min={0.05} max={0.5} step={0.05} value={held} onChange={setHeld} label={null} />
            </div>
            <MultiSelect label={t("train.features")} placeholder={features.length ? "" : t("train.featuresAll")} data={columns.filter((column) => column !== target)} value={features} onChange={setFeatures} searchable clearable />
            <NumberInput label={t("train.seed")} min={0} allowDecimal={false} value={seed} onChange={setSeed} />
          </Stack>
        </Collapse>
        {start.isError && <Problem error={start.error} />}
        <Group justify="space-between">
          <Button variant="subtle" color="gray" px={8} aria-expanded={more} onClick={() => setMore(!more)} rightSection={<Icon name={more ? "up" : "down"} size={15} />}>{t("train.more")}</Button>
          <Group gap="sm">
            <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
            <Button type="submit" disabled={!target || !name} loading={start.isPending}>{t(searches ? "tune.submit" : "train.submit")}</Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

/** Recipes that fit, with a reason each; a click takes one. */
function Proposals({ found, onTake }: { found: Proposal[]; onTake: (proposal: Proposal) => void }) {
  const { t, say } = useSpeech();
  return (
    <Stack gap={4} role="group" aria-label={t("train.proposals")}>
      <Text size="sm" fw={500}>{t("train.proposals")}</Text>
      {found.map((proposal) => (
        <Group key={`${proposal.recipe} ${proposal.model}`} gap="xs" wrap="nowrap" align="baseline">
          <Button variant="light" size="compact-sm" onClick={() => onTake(proposal)} style={{ flexShrink: 0 }}>{[say("recipe", proposal.recipe), proposal.model].filter(Boolean).join(" · ")}</Button>
          <Text size="sm" c="dimmed">{proposal.reason}</Text>
        </Group>
      ))}
    </Stack>
  );
}

export function TrainDialog({ dataset, opened, onClose }: DialogProps) {
  const { t } = useSpeech();
  return (
    <Dialog opened={opened} onClose={onClose} title={t("train.title", { name: dataset.ref })} size={560}>
      <TrainForm dataset={dataset} onClose={onClose} />
    </Dialog>
  );
}
