/** Addresses that other programs print for their users. */

/** Where the run is that MLflow's client says to view at `…/#/experiments/ID/runs/RUN`; undefined for every other fragment. */
export function placeOf(fragment: string): string | undefined {
  const run = /^#\/experiments\/[^/]+\/runs\/([0-9A-Z]{26})$/.exec(fragment)?.[1];
  if (run) return `/runs/${run}`;
  return /^#\/experiments\/[^/]+$/.test(fragment) ? "/runs" : undefined;
}
