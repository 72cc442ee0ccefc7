/** Train a model on a dataset version. The run's page shows the curves while it learns. */
import { Button, Collapse, Group, MultiSelect, NumberInput, Select, SimpleGrid, Slider, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { request } from "../api/request";
import type { DatasetDetail, Run } from "../api/types";
import { percent } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Dialog } from "../parts/dialog";
import { Problem } from "../parts/words";

const RECIPES = ["auto", "logistic_regression", "linear_regression"];
const MOST_WORKERS = 64;

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
  const [more, setMore] = useState(false);
  const columns = dataset.schema.filter(({ masked }) => !masked).map((column) => column.name);

  const start = useMutation({
    mutationFn: () =>
      request<Run>("POST", "/models/train", {
        body: {
          name, dataset: dataset.ref, target, recipe, workers: Number(workers) || 1, params: {}, test_fraction: held, seed: Number(seed) || 0,
          features: features.length ? features : null,
        },
      }),
    meta: { quiet: true },
    onSuccess: async (run) => {
      onClose();
      void client.invalidateQueries({ queryKey: ["runs"] });
      await navigate({ to: "/runs/$id", params: { id: run.id } });
    },
  });
  const choose = (column: string | null) => {
    setTarget(column);
    start.reset();
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    start.mutate();
  };

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
        <Collapse expanded={more}>
          <Stack gap="md">
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
            <Button type="submit" disabled={!target || !name} loading={start.isPending}>{t("train.submit")}</Button>
          </Group>
        </Group>
      </Stack>
    </form>
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
