/** All runs: found by a filter, sorted by any column, compared when chosen. Only what is in sight is asked for and drawn. */
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type SyntheticEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";

import { RUNS_PAGE, runsPage, type RunsWanted } from "../api/queries";
import { ApiError, sentenceOf } from "../api/request";
import type { Run } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Page, Panel, RowsSkeleton } from "../parts/page";
import { Empty, Problem } from "../parts/words";
import { ColumnPicker, rememberedColumns } from "./columns";
import css from "./list.module.css";
import { HEAD_FIELDS, ROW_PX, RunRow } from "./row";
import { countOf, nextOrder, pagesOf, readOrder, rowsInSight } from "./rows";
import { bare, fieldOf } from "./told";

const STATES = ["queued", "running", "succeeded", "failed", "cancelled"] as const;
const MOST_COMPARED = 500;
const FIRST_HEIGHT = 800;
/** So many rows of a page that has not come yet are there to be scrolled to. */
const COMING = 30;

/** The pages of what is wanted that are in sight, and how many rows are known. */
function usePages(wanted: RunsWanted, seen: { first: number; end: number }) {
  const key = JSON.stringify(wanted);
  const lengths = useRef(new Map<number, number>());
  const keyOf = useRef(key);
  if (keyOf.current !== key) {
    keyOf.current = key;
    lengths.current = new Map();
  }
  const pages = pagesOf(seen, RUNS_PAGE);
  const answers = useQueries({ queries: pages.map((page) => runsPage(wanted, page)) });
  const found = new Map<number, Run[]>();
  pages.forEach((page, i) => {
    const items = answers[i]?.data?.items;
    if (!items) return;
    found.set(page, items);
    lengths.current.set(page, items.length);
  });
  const rowAt = (row: number): Run | undefined => found.get(Math.floor(row / RUNS_PAGE))?.[row % RUNS_PAGE];
  const { rows, more } = countOf(lengths.current, RUNS_PAGE);
  return { rowAt, rows, more, error: answers[0]?.error ?? null, ready: answers[0]?.data !== undefined, again: () => void answers[0]?.refetch() };
}

interface HeadProps {
  label: string;
  field: string | null;
  order: string;
  numeric?: boolean;
  onOrder: (order: string) => void;
}

function Head({ label, field, order, numeric = false, onOrder }: HeadProps) {
  const now = readOrder(order);
  const sorted = field !== null && now.field === field;
  return (
    <th scope="col" className={numeric ? css.numeric : undefined} aria-sort={sorted ? (now.descending ? "descending" : "ascending") : field ? "none" : undefined}>
      {field === null ? label : (
        <button type="button" className={css.sort} data-sorted={sorted} onClick={() => onOrder(nextOrder(now, field))} title={label}>
          <span>{label}</span>
          <Icon name={sorted && !now.descending ? "up" : "down"} size={13} />
        </button>
      )}
    </th>
  );
}

interface TableProps {
  wanted: RunsWanted;
  chosen: ReadonlySet<string>;
  onChoose: (ids: string[], on: boolean) => void;
  onOrder: (order: string) => void;
}

function RunTable({ wanted, chosen, onChoose, onOrder }: TableProps) {
  const { t } = useSpeech();
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: FIRST_HEIGHT });
  const [known, setKnown] = useState(RUNS_PAGE);
  const seen = rowsInSight(view.top, view.height, ROW_PX, Math.max(known, 1));
  const { rowAt, rows, more, error, ready, again } = usePages(wanted, seen);
  const count = rows + (more ? COMING : 0);
  useEffect(() => setKnown(count || RUNS_PAGE), [count]);
  const asked = JSON.stringify({ ...wanted, columns: [] });
  useEffect(() => {
    box.current?.scrollTo({ top: 0 });
    setView((now) => ({ ...now, top: 0 }));
  }, [asked]);
  const look = useCallback(() => {
    const element = box.current;
    if (element) setView({ top: element.scrollTop, height: element.clientHeight });
  }, []);

  if (error && !(error instanceof ApiError && error.status === 400)) return <Problem error={error} onRetry={again} />;
  if (error) return null;
  if (!ready) return <Panel flush><RowsSkeleton /></Panel>;
  if (count === 0) {
    return (
      <Panel flush>
        {wanted.state || wanted.filter || wanted.order ? <Empty icon="runs" title={t("runs.noneFound")} text={t("runs.noneFoundText")} />
          : <Empty icon="runs" title={t("runs.empty")} text={t("runs.emptyText")} command="lepton datasets import customers.csv" />}
      </Panel>
    );
  }
  const end = Math.min(seen.end, count);
  const drawn = Array.from({ length: Math.max(end - seen.first, 0) }, (_, i) => seen.first + i);
  const loaded = drawn.flatMap((row) => rowAt(row)?.id ?? []);
  const all = loaded.length > 0 && loaded.every((id) => chosen.has(id));
  const head = { order: wanted.order, onOrder };
  const width = 6 + wanted.columns.length;
  return (
    <Panel flush>
      <div className={css.box} ref={box} onScroll={look} tabIndex={0} role="region" aria-label={t("runs.table")}>
        <table className={css.table} aria-label={t("nav.runs")} aria-rowcount={more ? -1 : count + 1}>
          <thead>
            <tr aria-rowindex={1}>
              <th className={css.tick}>
                <input type="checkbox" className={css.check} aria-label={t("runs.chooseSeen")} checked={all} onChange={(event) => onChoose(loaded, event.currentTarget.checked)} />
              </th>
              <th scope="col">{t("word.name")}</th>
              {HEAD_FIELDS.map(({ field, word, numeric }) => <Head key={word} label={t(word)} field={field} numeric={numeric} {...head} />)}
              {wanted.columns.map((name) => <Head key={name} label={bare(name)} field={fieldOf(name)} numeric {...head} />)}
              <th scope="col">{t("runs.made")}</th>
            </tr>
          </thead>
          <tbody>
            {seen.first > 0 && <tr aria-hidden="true"><td colSpan={width} style={{ height: seen.first * ROW_PX, padding: 0 }} /></tr>}
            {drawn.map((row) => {
              const run = rowAt(row);
              return <RunRow key={run?.id ?? row} place={row + 2} run={run} columns={wanted.columns} chosen={run !== undefined && chosen.has(run.id)} onChoose={onChoose} />;
            })}
            {end < count && <tr aria-hidden="true"><td colSpan={width} style={{ height: (count - end) * ROW_PX, padding: 0 }} /></tr>}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

export function RunList() {
  const { t } = useSpeech();
  const search = useSearch({ from: "/shell/runs" });
  const navigate = useNavigate();
  const [typed, setTyped] = useState(search.filter ?? "");
  useEffect(() => setTyped(search.filter ?? ""), [search.filter]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const columns = useMemo(() => (search.columns === undefined ? rememberedColumns() : search.columns.split("\n").filter(Boolean)), [search.columns]);
  const wanted = useMemo((): RunsWanted => ({ state: search.state ?? null, filter: search.filter ?? "", order: search.order ?? "", columns }), [search, columns]);
  const go = (change: Partial<typeof search>) => void navigate({ to: "/runs", search: { ...search, ...change } });
  const find = (event: SyntheticEvent) => {
    event.preventDefault();
    go({ filter: typed.trim() || undefined });
  };
  const choose = useCallback((ids: string[], on: boolean) => {
    setChosen((now) => {
      const next = new Set(now);
      for (const id of ids) if (on) next.add(id); else next.delete(id);
      return next;
    });
  }, []);
  // The first page is asked for by the table too; this look at it is the same.
  const [{ error }] = useQueries({ queries: [runsPage(wanted, 0)] });
  const wrong = error instanceof ApiError && error.status === 400 ? sentenceOf(error) : null;
  const order = readOrder(wanted.order);
  const ids = [...chosen].slice(0, MOST_COMPARED);
  return (
    <Page
      title={t("nav.runs")} lead={t("runs.lead")}
      actions={chosen.size > 0 && (
        <>
          <Button variant="default" onClick={() => setChosen(new Set())}>{t("runs.chooseNone")}</Button>
          <Button onClick={() => void navigate({ to: "/runs/compare", search: { ids: ids.join(",") } })}>{t("runs.compare", { n: ids.length })}</Button>
        </>
      )}
    >
      <div className={css.bar}>
        <div className={css.states}>
          <SegmentedControl
            size="xs" withItemsBorders={false} aria-label={t("runs.filter")} value={search.state ?? "all"} onChange={(next) => go({ state: next === "all" ? undefined : next })}
            data={[{ value: "all", label: t("word.all") }, ...STATES.map((value) => ({ value, label: t(`state.${value}`) }))]}
          />
        </div>
        <form onSubmit={find} className={css.search}>
          <TextInput
            size="xs" aria-label={t("runs.search")} placeholder="metrics.loss < 0.1 and params.model = 'mlp'" value={typed} error={wrong} spellCheck={false} autoComplete="off"
            leftSection={<Icon name="search" size={15} />} onChange={(event) => setTyped(event.currentTarget.value)}
          />
        </form>
        <ColumnPicker columns={columns} onColumns={(next) => go({ columns: next.join("\n") })} />
      </div>
      {/^(metrics|params|tags)\./.test(order.field) && !wrong && <p className={css.hint}>{t("runs.leftOut", { name: bare(order.field).replaceAll("`", "") })}</p>}
      <RunTable wanted={wanted} chosen={chosen} onChoose={choose} onOrder={(next) => go({ order: next || undefined })} />
    </Page>
  );
}
