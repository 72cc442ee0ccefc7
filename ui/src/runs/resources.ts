/** Processors, memory and GPUs, added up and in words. */
import type { Resources } from "../api/types";
import { useSpeech } from "../i18n";

export function sum(all: Resources[]): Resources {
  return all.reduce(
    (total, one) => ({ cpus: total.cpus + one.cpus, memory_mb: total.memory_mb + one.memory_mb, gpus: total.gpus + one.gpus }),
    { cpus: 0, memory_mb: 0, gpus: 0 },
  );
}

/** An amount of memory given in MiB, counted by 1024. */
export function memory(megabytes: number): string {
  return megabytes >= 1024 ? `${Number((megabytes / 1024).toPrecision(3))} GB` : `${megabytes} MB`;
}

/** Says what a worker or a run takes, such as "2 processors, 512 MB". */
export function useResources(): (resources: Resources) => string {
  const { t } = useSpeech();
  return ({ cpus, memory_mb, gpus }) =>
    [
      t("count.cpus", { n: cpus }),
      memory_mb > 0 ? memory(memory_mb) : "",
      gpus > 0 ? t("count.gpus", { n: gpus }) : "",
    ].filter(Boolean).join(", ");
}
