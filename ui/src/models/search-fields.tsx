/** What a search is told, in the dialog of a training; and the seconds until its study is there. */
import { NumberInput, Select, SimpleGrid, Stack, Text, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";

import { studiesSoon } from "../api/queries";
import type { Run } from "../api/types";
import { useSpeech } from "../i18n";
import { FollowRun } from "../parts/confirm";

const SAMPLERS = ["tpe", "cmaes", "random", "grid"];
const PRUNERS = ["none", "median", "hyperband", "asha"];
const MOST_TRIALS = 10_000;
const MOST_PARALLEL = 64;

/** What is searched and how, as it stands in the fields. */
export interface Sought {
  /** One setting a line. */
  search: string;
  trials: number | string;
  parallel: number | string;
  sampler: string;
  pruner: string;
}

export const FIRST: Sought = { search: "", trials: 20, parallel: 2, sampler: "tpe", pruner: "none" };

/** What the platform is told. */
export function searchOf({ search, trials, parallel, sampler, pruner }: Sought) {
  const lines = search.split("\n").map((line) => line.trim()).filter(Boolean);
  return { search: lines, trials: Number(trials) || FIRST.trials, parallel: Number(parallel) || FIRST.parallel, sampler, pruner };
}

export function SearchFields({ sought, onChange }: { sought: Sought; onChange: (sought: Sought) => void }) {
  const { t, say } = useSpeech();
  const change = (changes: Partial<Sought>) => onChange({ ...sought, ...changes });
  const named = (prefix: string, values: string[]) => values.map((value) => ({ value, label: say(prefix, value) }));
  return (
    <Stack gap="md">
      <Textarea
        label={t("tune.search")} description={t("tune.searchHint")} placeholder={"max_depth = 2..10\nlearning_rate = 0.001..0.3 log"} autosize minRows={2} spellCheck={false} required
        withAsterisk={false} value={sought.search} onChange={(event) => change({ search: event.currentTarget.value })}
      />
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <NumberInput label={t("tune.trials")} min={1} max={MOST_TRIALS} allowDecimal={false} value={sought.trials} onChange={(trials) => change({ trials })} />
        <NumberInput label={t("tune.parallel")} min={1} max={MOST_PARALLEL} allowDecimal={false} value={sought.parallel} onChange={(parallel) => change({ parallel })} />
        <Select label={t("tune.sampler")} allowDeselect={false} data={named("sampler", SAMPLERS)} value={sought.sampler} onChange={(sampler) => sampler && change({ sampler })} />
        <Select label={t("tune.pruner")} allowDeselect={false} data={named("pruner", PRUNERS)} value={sought.pruner} onChange={(pruner) => pruner && change({ pruner })} />
      </SimpleGrid>
    </Stack>
  );
}

/** A study is there when its search has begun, some seconds after it was asked for; then its page opens. */
export function SearchBegins({ run, study, onClose }: { run: Run; study: string; onClose: () => void }) {
  const { t } = useSpeech();
  const navigate = useNavigate();
  const { data } = useQuery(studiesSoon());
  const there = data?.items.some(({ name }) => name === study) ?? false;
  const open = () => {
    onClose();
    void navigate({ to: "/models/studies/$name", params: { name: study } });
  };
  useEffect(() => {
    if (there) open();
    // The study appears once; what else is rendered anew does not matter.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [there]);
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed">{t("tune.begins")}</Text>
      <FollowRun run={run} onDone={open} onClose={onClose} />
    </Stack>
  );
}
