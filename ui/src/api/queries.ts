/** What the pages read: one query per resource, refreshed now and then, and soon while something is unfinished. Each look is audited. */
import { queryOptions } from "@tanstack/react-query";

import { address, request } from "./request";
import type {
  Artifact, AuditRow, Dataset, DatasetDetail, Endpoint, EndpointDetail, EndpointMetrics, Items, Lineage, LoggedRequest, Me, MetricSeries,
  ModelDetail, ModelSummary, Profile, Proposed, Queue, Report, Rows, Run, Schedule, Study, StudySummary, Token, Tracked, User,
} from "./types";

const SOON = 2_000;
const NOW_AND_THEN = 15_000;

export const isOpen = (run: Run): boolean => run.state === "queued" || run.state === "running";

const get = <T>(path: string, query: Record<string, string | number | string[] | null> = {}) => ({
  queryKey: [...path.split("/").filter(Boolean), address("", query)],
  queryFn: ({ signal }: { signal: AbortSignal }) => request<T>("GET", path, { query, signal }),
});

const part = encodeURIComponent;

export const me = () => queryOptions({ ...get<Me>("/me"), staleTime: 60_000 });

export const datasets = () => queryOptions({ ...get<Items<Dataset>>("/datasets"), refetchInterval: NOW_AND_THEN });
export const dataset = (ref: string) => queryOptions(get<DatasetDetail>(`/datasets/${part(ref)}`));
export const profile = (ref: string, target: string | null = null) =>
  queryOptions({ ...get<Profile>(`/datasets/${part(ref)}/profile`, { target }), staleTime: 300_000 });
export const rows = (ref: string, offset: number, limit: number) =>
  queryOptions({ ...get<Rows>(`/datasets/${part(ref)}/rows`, { offset, limit }), staleTime: 300_000 });
export const report = (ref: string) => queryOptions({ ...get<Report>(`/datasets/${part(ref)}/report`), staleTime: 300_000 });

/** Recipes that fit a dataset and a target. */
export const proposed = (dataset: string, target: string | null) =>
  queryOptions({ ...get<Proposed>("/models/propose", { dataset, target }), enabled: target !== null, staleTime: 300_000 });

export const RUNS_PAGE = 100;

export interface RunsWanted {
  state: string | null;
  filter: string;
  /** Such as "metrics.loss desc"; empty: the newest first. */
  order: string;
  columns: string[];
}

/** A page of the runs that are wanted; looked at again while one of them is unfinished. */
export const runsPage = ({ state, filter, order, columns }: RunsWanted, page: number) =>
  queryOptions({
    ...get<Items<Run>>("/runs", {
      state, filter: filter || null, order_by: order || null, limit: RUNS_PAGE, offset: page * RUNS_PAGE || null, column: ["tags.name", ...columns],
    }),
    refetchInterval: ({ state: { data } }) => (data?.items.some(isOpen) ? SOON : NOW_AND_THEN),
  });
/** The newest runs with all that they tell: what there is to choose columns from. */
export const runNames = () =>
  queryOptions({ ...get<Items<Run>>("/runs", { limit: 50, column: ["params.*", "metrics.*", "tags.*"] }), staleTime: 60_000 });
/** A run; `told` says that a stream tells of its changes, so that nobody has to ask. */
export const run = (id: string, told = false) =>
  queryOptions({ ...get<Run>(`/runs/${part(id)}`), refetchInterval: ({ state: { data } }) => pauseOf(told, data) });
export const pauseOf = (told: boolean, run: Run | undefined): number | false => (told || (run && !isOpen(run)) ? false : SOON);
export const runMetrics = (id: string, open: boolean) =>
  queryOptions({ ...get<{ metrics: MetricSeries[] }>(`/runs/${part(id)}/metrics`, { points: 1000 }), refetchInterval: open ? SOON : false });

/** Some runs with all that they tell of themselves. */
export const runsOf = (ids: string[]) =>
  queryOptions({
    ...get<Items<Run>>("/runs", { id: ids, column: ["params.*", "metrics.*", "tags.name"], limit: 500 }),
    refetchInterval: ({ state: { data } }) => (data?.items.some(isOpen) ? NOW_AND_THEN / 3 : false),
  });
/** Some curves of a run, thinned to what a picture can show, between two steps or whole. */
export const runCurves = (id: string, open: boolean, keys: string[], steps: readonly [number, number] | null) =>
  queryOptions({
    ...get<{ metrics: MetricSeries[] }>(`/runs/${part(id)}/metrics`, { key: keys, points: 800, from_step: steps?.[0] ?? null, to_step: steps?.[1] ?? null }),
    refetchInterval: open ? NOW_AND_THEN / 3 : false,
    staleTime: open ? 0 : 60_000,
    enabled: keys.length > 0,
  });

/** Files, and what a run tells of itself; both can grow while it goes on. */
export const runArtifacts = (id: string, open: boolean) =>
  queryOptions({ ...get<Items<Artifact>>(`/runs/${part(id)}/artifacts`), refetchInterval: open ? NOW_AND_THEN : false });
export const runTracked = (id: string, open: boolean) =>
  queryOptions({ ...get<Tracked>(`/runs/${part(id)}/tracked`), refetchInterval: open ? NOW_AND_THEN : false });

export const queue = () => queryOptions({ ...get<Queue>("/runs/queue"), refetchInterval: NOW_AND_THEN / 3 });
export const schedules = () => queryOptions({ ...get<Items<Schedule>>("/runs/schedules"), refetchInterval: NOW_AND_THEN });

export const models = () => queryOptions({ ...get<Items<ModelSummary>>("/models"), refetchInterval: NOW_AND_THEN });
export const model = (ref: string) => queryOptions(get<ModelDetail>(`/models/${part(ref)}`));
export const lineage = (ref: string) => queryOptions(get<Lineage>(`/models/${part(ref)}/lineage`));

export const isSearching = ({ counts }: StudySummary): boolean => (counts.running ?? 0) + (counts.waiting ?? 0) > 0;
export const studies = () => queryOptions({ ...get<Items<StudySummary>>("/models/studies"), refetchInterval: NOW_AND_THEN });
/** For one who waits for a study to appear: what is known from before may be old. */
export const studiesSoon = () => queryOptions({ ...studies(), staleTime: 0, refetchInterval: SOON });
export const study = (name: string) =>
  queryOptions({
    ...get<Study>(`/models/studies/${part(name)}`),
    refetchInterval: ({ state: { data } }) => (data && isSearching(data) ? SOON : NOW_AND_THEN),
  });

export const endpoints = () =>
  queryOptions({
    ...get<Items<Endpoint>>("/endpoints"),
    refetchInterval: ({ state: { data } }) => (data?.items.some(({ state }) => state === "starting") ? SOON : NOW_AND_THEN),
  });
export const endpoint = (name: string) =>
  queryOptions({
    ...get<EndpointDetail>(`/endpoints/${part(name)}`),
    refetchInterval: ({ state: { data } }) => (data?.state === "starting" || data?.companions.length ? SOON : NOW_AND_THEN),
  });

/** The requests that were kept; not refreshed by itself, as every look is a line of the audit log. */
export const endpointLogs = (name: string) => queryOptions({ ...get<Items<LoggedRequest>>(`/endpoints/${part(name)}/logs`, { limit: 100 }), staleTime: 30_000 });

/** How an endpoint does; `told` says that a stream tells, so that nobody has to ask. */
export const endpointMetrics = (name: string, told = false) =>
  queryOptions({ ...get<EndpointMetrics>(`/endpoints/${part(name)}/metrics`), refetchInterval: told ? false : NOW_AND_THEN });

export const users = () => queryOptions(get<Items<User>>("/users"));
export const tokens = () => queryOptions(get<Items<Token>>("/tokens"));

export interface AuditFilter {
  actor: string;
  action: string;
  outcome: AuditRow["outcome"] | null;
  changes: boolean;
}
/** The audit log; not refreshed by itself, as every look at it adds a line to it. */
export const audit = ({ changes, ...wanted }: AuditFilter) =>
  queryOptions(get<Items<AuditRow>>("/audit", { ...wanted, changes: changes ? "true" : null, limit: 200 }));
