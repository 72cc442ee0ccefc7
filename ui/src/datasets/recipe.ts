/** A cleaning recipe as the dialog edits it, and as JSON. Pure; the server checks it again. */
import type { Recipe, Step } from "../api/types";
import type { Key } from "../i18n/en";

export type OptionKind = "columns" | "choice" | "number" | "flag" | "value" | "mapping";

export interface OptionSpec {
  name: string;
  label: Key;
  kind: OptionKind;
  choices?: readonly string[];
  initial?: unknown;
  /** Shown only while another option has this value. */
  when?: readonly [string, string];
}

const columns: OptionSpec = { name: "columns", label: "option.columns", kind: "columns", initial: null };
const choice = (name: string, label: Key, choices: readonly string[]): OptionSpec => ({ name, label, kind: "choice", choices, initial: choices[0] });
const outliers: OptionSpec[] = [
  columns,
  choice("method", "option.method", ["iqr", "zscore"]),
  { name: "factor", label: "option.factor", kind: "number", initial: 1.5 },
];

/** Every step the platform knows, with its options in the order they are shown. */
export const STEPS: Readonly<Record<string, readonly OptionSpec[]>> = {
  drop_duplicates: [columns],
  drop_missing: [columns],
  fill_missing: [
    columns,
    choice("strategy", "option.strategy", ["median", "mean", "mode", "constant"]),
    { name: "value", label: "option.value", kind: "value", initial: null, when: ["strategy", "constant"] },
  ],
  normalize_labels: [
    columns,
    choice("case", "option.case", ["none", "lower", "upper", "title"]),
    { name: "trim", label: "option.trim", kind: "flag", initial: true },
    { name: "mapping", label: "clean.mapping", kind: "mapping", initial: {} },
  ],
  clip_outliers: outliers,
  drop_outliers: outliers,
  clip_range: [
    columns,
    { name: "min", label: "option.minimum", kind: "number", initial: null },
    { name: "max", label: "option.maximum", kind: "number", initial: null },
    choice("outside", "option.outside", ["clip", "missing"]),
  ],
  cast: [columns, choice("type", "option.type", ["number", "integer", "boolean", "text", "date", "datetime"])],
  scale: [columns, choice("method", "option.method", ["z_score", "min_max"])],
  drop_columns: [columns],
};

export interface DraftStep {
  /** Stays the same while the step is moved and edited. */
  key: number;
  on: boolean;
  step: Step;
}

let lastKey = 0;

const draft = (step: Step, on = true): DraftStep => ({ key: (lastKey += 1), on, step });

export function draftsOf(recipe: Recipe): DraftStep[] {
  return recipe.steps.map((step) => draft(step));
}

/** A new step with the options a user would expect. */
export function newStep(name: string): DraftStep {
  const options = (STEPS[name] ?? []).map((option) => [option.name, option.initial]);
  return draft({ step: name, ...Object.fromEntries(options) });
}

/** The recipe to send: steps that are on, without options that do not apply to them. */
export function recipeOf(drafts: readonly DraftStep[]): Recipe {
  return { steps: drafts.filter(({ on }) => on).map(({ step }) => withoutIdle(step)) };
}

function withoutIdle(step: Step): Step {
  const idle = new Set((STEPS[step.step] ?? []).filter(({ when }) => when && step[when[0]] !== when[1]).map(({ name }) => name));
  return Object.fromEntries(Object.entries(step).filter(([name]) => !idle.has(name))) as Step;
}

/** JSON on one line with a space after each sign. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${spaced(one)}`).join(", ")}}`;
}

/** A recipe as a person would write it: one step a line, options that say nothing left out. */
export function writeRecipe(recipe: Recipe): string {
  if (recipe.steps.length === 0) return '{"steps": []}';
  const told = (step: Step) => Object.fromEntries(Object.entries(step).filter(([, value]) => value !== null && spaced(value) !== "{}"));
  return `{\n  "steps": [\n${recipe.steps.map((step) => `    ${spaced(told(step))}`).join(",\n")}\n  ]\n}`;
}

export class RecipeError extends Error {
  constructor(
    readonly kind: "json" | "shape",
    message: string,
  ) {
    super(message);
  }
}

/** Read a recipe that a person typed. */
export function parseRecipe(text: string): Recipe {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RecipeError("json", error instanceof Error ? error.message : String(error));
  }
  const steps = Array.isArray(value) ? value : (value as { steps?: unknown } | null)?.steps;
  const isStep = (one: unknown): one is Step => typeof one === "object" && one !== null && typeof (one as Step).step === "string";
  if (!Array.isArray(steps) || !steps.every(isStep)) throw new RecipeError("shape", "not a recipe");
  return { steps };
}

export function moved<T>(items: readonly T[], from: number, to: number): T[] {
  const next = [...items];
  const [taken] = next.splice(from, 1);
  if (taken !== undefined) next.splice(to, 0, taken);
  return next;
}

/** "M = malignant" lines as a mapping; nothing after the sign means missing. */
export function parseMapping(text: string): Record<string, string | null> {
  const pairs = text.split("\n").filter((line) => line.includes("=")).map((line) => {
    const at = line.indexOf("=");
    return [line.slice(0, at).trim(), line.slice(at + 1).trim() || null] as const;
  });
  return Object.fromEntries(pairs.filter(([from]) => from !== ""));
}

export function writeMapping(mapping: unknown): string {
  return Object.entries((mapping ?? {}) as Record<string, string | null>).map(([from, to]) => `${from} = ${to ?? ""}`).join("\n");
}

/** A typed constant: a number where it reads as one. */
export function parseValue(text: string): string | number | null {
  if (text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}
