/** The JSON of the REST interface, as the server writes it. Times are ISO 8601 in UTC. */

export type Scalar = string | number | boolean | null;

export interface ErrorBody {
  error: { code: string; message: string; request_id?: string };
}

export interface ProjectAccess {
  name: string;
  role: string;
  actions: string[];
}

export interface Me {
  user: { id: string; name: string };
  projects: ProjectAccess[];
  is_admin: boolean;
}

export type ColumnClass = "plain" | "personal" | "secret";
export type MadeBy = "import" | "clean" | "split" | "predict";

export interface DatasetVersion {
  ref: string;
  name: string;
  version: number;
  rows: number;
  columns: number;
  size_bytes: number;
  created_at: string;
  created_by: string;
  run_id: string | null;
  parent: string | null;
  made_by: MadeBy;
}

export interface Dataset {
  name: string;
  latest: number;
  versions: DatasetVersion[];
}

export interface SchemaColumn {
  name: string;
  type: string;
  class: ColumnClass;
  nulls: number | null;
  distinct: number | null;
  masked: boolean;
}

export interface DatasetDetail extends DatasetVersion {
  schema: SchemaColumn[];
  versions: DatasetVersion[];
}

export interface ColumnProfile {
  name: string;
  type: string;
  class: ColumnClass;
  masked: boolean;
  nulls: number | null;
  distinct: number | null;
  mean: number | null;
  std: number | null;
  min: Scalar;
  max: Scalar;
  quantiles: Record<string, Scalar> | null;
  histogram: { edges: number[]; counts: number[] } | null;
  top_values: { value: Scalar; count: number }[] | null;
  warnings: string[];
}

export interface Step {
  step: string;
  [option: string]: unknown;
}

export interface Recipe {
  steps: Step[];
}

export interface Profile {
  ref: string;
  rows: number;
  columns: ColumnProfile[];
  duplicate_rows: number | null;
  suggested_recipe: Recipe;
}

export interface Rows {
  columns: string[];
  rows: Scalar[][];
  total: number;
  masked: string[];
}

export interface StepReport {
  step: string;
  summary: string;
  rows_before: number;
  rows_after: number;
  cells_changed: number;
  columns: string[];
  /** Cells changed by column. */
  changed: Record<string, number>;
  /** What the step calculated from the data, by column, such as the median it filled in. */
  fitted: Record<string, Record<string, Scalar>>;
}

export interface Report {
  made_by: MadeBy;
  recipe: Recipe | null;
  steps: StepReport[];
  rejected: { line: number; reason: string }[];
  rejected_total: number;
  detected: Record<string, Scalar> | null;
}

export type RunState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface Run {
  id: string;
  task: string;
  /** What asked for it: models.train of a command that trains, else the task. */
  verb: string;
  state: RunState;
  workers: number;
  progress: number;
  message: string;
  params: Record<string, Scalar>;
  inputs: string[];
  outputs: string[];
  error: { code: string; message: string } | null;
  submitted_by: string;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  retry_of: string | null;
  resources: Resources;
  priority: number;
  /** How many times it was started again. */
  attempt: number;
  retries: number;
  timeout_s: number | null;
  after: string[];
  reused_from: string | null;
  /** What a list was asked for, such as metrics.loss. */
  columns: Record<string, Scalar>;
}

export interface Resources {
  cpus: number;
  /** In MiB. */
  memory_mb: number;
  gpus: number;
}

/** The most that a project may use; null: as much as there is. */
export interface Quota {
  cpus: number | null;
  memory_mb: number | null;
  gpus: number | null;
  running: number | null;
  hours: number | null;
}

export interface Use {
  resources: Resources;
  running: number;
}

export interface ProjectUse {
  project: string;
  use: Use;
  queued: number;
  quota: Quota;
  hours: number;
}

export interface QueuedRun {
  run_id: string;
  project: string;
  task: string;
  submitted_by: string;
  created_at: string;
  needs: Resources;
  priority: number;
  reason: string;
}

export interface Queue {
  machines: Resources[];
  projects: ProjectUse[];
  others: Use;
  waiting: QueuedRun[];
}

export interface Schedule {
  id: string;
  run_id: string;
  cron: string;
  timezone: string;
  created_at: string;
  created_by: string;
  next_at: string;
  last_run_id: string | null;
  skipped: number;
}

/** A file that a run has left. */
export interface Artifact {
  path: string;
  size_bytes: number;
  sha256: string;
  created_at: string;
}

/** What a run has told of itself. */
export interface Tracked {
  params: Record<string, string>;
  tags: Record<string, string>;
  metrics: unknown[];
}

export interface LogLine {
  seq: number;
  /** -1 is the engine itself. */
  rank: number;
  time: string;
  text: string;
}

export interface LogPage {
  lines: LogLine[];
  next: number;
  ended: boolean;
}

export interface MetricSeries {
  key: string;
  points: { step: number; time: string; value: number | null }[];
}

export type Metrics = Record<string, number | null>;

export type ModelTask = "classification" | "regression" | "generation" | "files";

export interface ModelVersion {
  ref: string;
  name: string;
  version: number;
  task: ModelTask;
  recipe: string;
  target: string;
  dataset: string;
  run_id: string | null;
  created_at: string;
  created_by: string;
  size_bytes: number;
  sha256: string;
  metrics: Metrics;
}

export interface ModelSummary {
  name: string;
  latest: number;
  versions: ModelVersion[];
}

export type InputType = "number" | "integer" | "boolean" | "text";

export interface SignatureInput {
  name: string;
  type: InputType;
  nullable: boolean;
  values?: Scalar[] | null;
}

export interface Signature {
  task: ModelTask;
  target: string;
  inputs: SignatureInput[];
  classes: Scalar[] | null;
}

/** A weight with its certainty; null where it cannot be known. */
export type SummaryTerm = Record<"name" | "of", string> & Record<"estimate", number> & Record<"error" | "p" | "low" | "high", number | null>;

export type Plot =
  | { kind: "roc"; data: { fpr: number[]; tpr: number[]; auc: number } }
  | { kind: "confusion"; data: { classes: Scalar[]; counts: number[][] } }
  | { kind: "residuals"; data: { predicted: number[]; residual: number[] } }
  | { kind: "predicted"; data: { predicted: number[]; actual?: number[]; observed?: number[] } }
  | { kind: "coefficients"; data: { names: string[]; values: number[] } }
  | { kind: "summary"; data: { terms: SummaryTerm[]; facts: Record<string, number>; notes: string[] } }
  | { kind: "calibration"; data: { predicted: number[]; observed: number[]; counts: number[] } }
  | { kind: "report"; data: { sentences: string[]; told?: Told[]; warnings?: string[] } }
  | { kind: "leaderboard"; data: { metric: string; names: string[]; scores: number[]; spreads: number[]; seconds: number[]; weights: number[] } }
  | { kind: "importance"; data: { metric: string; names: string[]; values: number[]; spreads: number[] } }
  | { kind: "certainty"; data: Certainty }
  | { kind: "failures"; data: { metric: string; overall: number; columns: string[]; parts: string[]; places: number[]; counts: number[]; scores: number[]; others: number[] } };

/** A sentence of a report: which, and what stands in it. */
export interface Told {
  key: string;
  values: Record<string, string | number | string[]>;
}

/** How sure answers are: how often they were right by their probability, or how far numbers were off. */
export type Certainty =
  | { task: "class"; lows: number[]; highs: number[]; counts: number[]; said: number[]; right: number[] }
  | { task: "number"; levels: number[]; lows: number[]; highs: number[] };

export interface Evaluation {
  dataset: string;
  metrics: Metrics;
  created_at: string;
  run_id: string | null;
  plots?: Plot[];
}

/** A setting that was searched. */
export interface Dimension {
  name: string;
  kind: "whole" | "number" | "choice";
  low: number | null;
  high: number | null;
  log: boolean;
  step: number | null;
  choices: Scalar[];
}

export type TrialState = "running" | "complete" | "pruned" | "failed" | "waiting";

export interface Trial {
  number: number;
  state: TrialState;
  value: number | null;
  params: Record<string, Scalar>;
  started_at: string | null;
  ended_at: string | null;
  steps: { step: number; value: number | null }[];
  run_id: string;
  error: string;
}

export interface StudySummary {
  name: string;
  journal: string;
  directions: string[];
  metric: string;
  counts: Record<string, number>;
  best: number | null;
  best_value: number | null;
  best_params: Record<string, Scalar>;
  model: string;
  run_id: string;
  message: string;
}

export interface Study extends StudySummary {
  space: Dimension[];
  trials: Trial[];
  importance: Record<string, number>;
  about: Record<string, unknown>;
}

export interface ModelDetail extends ModelVersion {
  signature: Signature;
  plots: Plot[];
  evaluations: Evaluation[];
  versions: ModelVersion[];
  /** What was left out of the training, a sentence each. */
  notes?: string[];
}

export type LineageKind = "dataset" | "run" | "model" | "endpoint" | "file";

export interface LineageNode {
  id: string;
  kind: LineageKind;
  label: string;
  detail: string;
}

export interface Lineage {
  nodes: LineageNode[];
  edges: { from: string; to: string }[];
}

/** One way to train, and why. */
export interface Proposal {
  recipe: string;
  reason: string;
  model: string;
  params: Record<string, string | number | boolean | null>;
  budget: string;
  command: string;
}

export interface Proposed {
  dataset: string;
  target: string;
  task: string;
  proposals: Proposal[];
}

export type EndpointState = "starting" | "ready" | "failed" | "stopped";

export interface Endpoint {
  name: string;
  model: string;
  state: EndpointState;
  url: string | null;
  message: string;
  /** On each of so many machines. */
  workers: { min: number; max: number; replicas: number };
  /** The endpoint whose replica it has; empty: one of its own. */
  shares: string;
  /** Versions beside the main one. */
  companions: Companion[];
  /** Where a rollback leads; empty if nowhere. */
  previous: string;
  /** Why the platform took a companion back by itself; empty if it did not. */
  went_back: string;
  limits: { max_rate: number | null; max_token_rate: number | null; max_concurrency: number | null };
  created_at: string;
  created_by: string;
}

export interface Companion {
  role: "canary" | "shadow";
  model: string;
  percent: number;
  since: string;
}

export interface Compared {
  rows: number;
  same_percent: number | null;
  mean_difference: number | null;
  largest_difference: number;
  failed: number;
  skipped: number;
}

export interface Deployed {
  model: string;
  role: "main" | "canary" | "shadow";
  percent: number;
  requests: number;
  errors: number;
  limited: number;
  p50_ms: number | null;
  p99_ms: number | null;
  comparison: Compared | null;
}

export interface Worker {
  slot: number;
  pid: number;
  state: "starting" | "ready" | "draining";
  restarts: number;
  in_flight: number;
  queued: number;
  requests: number;
  errors: number;
  /** Address of the machine it runs on; empty for the platform's own. */
  machine: string;
}

export interface Machine {
  slot: number;
  machine: string;
  state: "waiting" | "starting" | "ready" | "silent" | "leaving";
  message: string;
}

/** Values of personal and secret columns are not in it. */
export interface LoggedRequest {
  id: string;
  at: string;
  model: string;
  seconds: number;
  rows: number;
  row: Record<string, string | number | boolean | null>;
  answer: string | number | boolean | null;
  masked: string[];
}

export interface EndpointDetail extends Endpoint {
  signature: Signature;
  /** Null while no replica answers. */
  replica: { wanted: number; grpc_port: number; requests: number; errors: number; workers: Worker[]; machines: Machine[] } | null;
  /** Every version, the main one first. */
  rollout: Deployed[];
  drift: DriftLevel;
}

export type DriftLevel = "stable" | "moderate" | "major";

export interface ColumnDrift {
  psi: number;
  ks: number | null;
  wasserstein: number | null;
  missing_share: number;
  unseen_share: number | null;
  rows: number;
}

export interface ColumnReport {
  name: string;
  level: DriftLevel;
  /** Null for who may not read the column. */
  last_hour: ColumnDrift | null;
  deployed: ColumnDrift | null;
}

export interface Drift {
  at_s: number;
  level: DriftLevel;
  rows: number;
  counted: number;
  seen: number;
  columns: ColumnReport[];
}

export interface DeploymentMetrics {
  model: string;
  requests: Record<string, number>;
  rows: number;
  mean_batch_rows: number | null;
  queued: number;
  requests_per_s: number;
  errors_per_s: number;
  p50_s: number | null;
  p99_s: number | null;
  history: { at_s: number; requests_per_s: number; errors_per_s: number; p50_s: number | null; p99_s: number | null }[];
  drift: Drift | null;
}

export interface EndpointMetrics {
  name: string;
  deployments: DeploymentMetrics[];
}

export interface Prediction {
  label?: Scalar;
  probabilities?: Record<string, number>;
  value?: number;
}

export interface Predictions {
  endpoint: string;
  model: string;
  predictions: Prediction[];
}

export type Role = "owner" | "steward" | "editor" | "viewer" | "caller";

export interface User {
  id: string;
  name: string;
  project: string;
  role: Role;
  has_password: boolean;
  created_at: string;
}

export interface NewUser extends User {
  sign_in_url: string;
  sign_in_expires_at: string;
}

export interface Token {
  id: string;
  user: string;
  name: string;
  prefix: string;
  scopes: string[] | null;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export interface NewToken extends Token {
  secret: string;
}

export interface AuditRow {
  time: string;
  actor: string;
  action: string;
  project: string;
  target: string;
  outcome: "allowed" | "denied" | "failed";
  code: string;
}

export interface Items<T> {
  items: T[];
}
