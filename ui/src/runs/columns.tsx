/** Which settings and metrics the list shows as columns; remembered by this browser. */
import { Button, MultiSelect, Popover } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { runNames } from "../api/queries";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { bare, isMetric, sortedNames, toldOf } from "./told";

const STORED = "lepton-run-columns";
const MOST_COLUMNS = 20;

export function rememberedColumns(): string[] {
  try {
    return (localStorage.getItem(STORED) ?? "").split("\n").filter(Boolean).slice(0, MOST_COLUMNS);
  } catch {
    return [];
  }
}

function remember(columns: string[]): void {
  try {
    localStorage.setItem(STORED, columns.join("\n"));
  } catch {
    // Not remembered, but shown.
  }
}

export function ColumnPicker({ columns, onColumns }: { columns: string[]; onColumns: (columns: string[]) => void }) {
  const { t } = useSpeech();
  const [opened, setOpened] = useState(false);
  const { data, isPending } = useQuery({ ...runNames(), enabled: opened });
  const names = sortedNames([...(data?.items ?? []).map(toldOf), Object.fromEntries(columns.map((name) => [name, 0]))]);
  const option = (value: string) => ({ value, label: bare(value) });
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" width={320} shadow="md" trapFocus>
      <Popover.Target>
        <Button size="xs" variant="default" aria-expanded={opened} onClick={() => setOpened(!opened)} rightSection={<Icon name="down" size={13} />}>
          {columns.length ? t("runs.columnsOf", { n: columns.length }) : t("runs.columns")}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <MultiSelect
          size="xs" label={t("runs.columns")} description={t("runs.columnsText")} searchable clearable hidePickedOptions maxValues={MOST_COLUMNS} value={columns}
          placeholder={isPending ? "…" : ""} nothingFoundMessage={t("runs.noColumns")} limit={200} comboboxProps={{ withinPortal: false }}
          data={[
            { group: t("runs.metrics"), items: names.filter(isMetric).map(option) },
            { group: t("word.parameters"), items: names.filter((name) => !isMetric(name)).map(option) },
          ]}
          onChange={(next) => {
            remember(next);
            onColumns(next);
          }}
        />
      </Popover.Dropdown>
    </Popover>
  );
}
