/** What a recorded run was made with: version of the code, what was changed since, Python and packages. */
import { Button, TextInput } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import { isOpen, runArtifacts, runTracked } from "../api/queries";
import { content } from "../api/request";
import type { Run } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Facts, Panel, RowsSkeleton } from "../parts/page";
import { Copy, Problem } from "../parts/words";
import css from "./code.module.css";
import { readPatch } from "./patch";

const FIRST_LINES = 400;
const ABOUT = { diff: "code.diff", packages: "environment.txt" } as const;

const fileOf = (run: Run, path: string, sha256: string | undefined) =>
  queryOptions({
    queryKey: ["runs", run.id, "text", path, sha256],
    queryFn: async ({ signal }) => new TextDecoder().decode(await content(`/runs/${encodeURIComponent(run.id)}/artifacts/${path}`, signal)),
    enabled: sha256 !== undefined,
    staleTime: Infinity,
  });

function PatchView({ text }: { text: string }) {
  const { t } = useSpeech();
  const [all, setAll] = useState(false);
  const patch = useMemo(() => readPatch(text), [text]);
  const lines = all ? patch.lines : patch.lines.slice(0, FIRST_LINES);
  return (
    <>
      <div className={css.counts}>
        {t("code.files", { n: patch.files })}
        <b className={css.plus}>+{patch.added}</b>
        <b className={css.minus}>−{patch.removed}</b>
        <span className={css.copy}><Copy text={text} label={t("code.copy")} /></span>
      </div>
      {/* A scrolling region has to be reachable by keyboard. */}
      <div className={css.patch} role="region" aria-label={t("code.diff")} tabIndex={0}>
        <code>{lines.map(({ kind, text: line }, i) => <span key={i} data-kind={kind}>{line || " "}</span>)}</code>
      </div>
      {lines.length < patch.lines.length && (
        <Button size="compact-xs" variant="subtle" mt={8} onClick={() => setAll(true)}>{t("code.all", { n: patch.lines.length })}</Button>
      )}
    </>
  );
}

function Packages({ text }: { text: string }) {
  const { t } = useSpeech();
  const [wanted, setWanted] = useState("");
  const all = useMemo(() => text.split("\n").filter(Boolean), [text]);
  const shown = all.filter((line) => line.toLowerCase().includes(wanted.trim().toLowerCase()));
  return (
    <>
      <TextInput
        size="xs" mb={10} aria-label={t("code.findPackage")} placeholder={t("code.findPackage")} value={wanted} spellCheck={false}
        leftSection={<Icon name="search" size={14} />} onChange={(event) => setWanted(event.currentTarget.value)}
      />
      <ul className={css.packages} aria-label={t("code.packages")} tabIndex={0}>
        {shown.map((line) => {
          const at = line.indexOf("==");
          return <li key={line}><span>{at < 0 ? line : line.slice(0, at)}</span><span>{at < 0 ? "" : line.slice(at + 2)}</span></li>;
        })}
      </ul>
      {shown.length === 0 && <p className={css.none}>{t("code.noPackage")}</p>}
    </>
  );
}

export function Code({ run }: { run: Run }) {
  const { t } = useSpeech();
  const { data: tracked } = useQuery(runTracked(run.id, isOpen(run)));
  const { data: files } = useQuery(runArtifacts(run.id, isOpen(run)));
  const kept = (path: string) => files?.items.find((file) => file.path === path)?.sha256;
  const [hasDiff, hasPackages] = [kept(ABOUT.diff), kept(ABOUT.packages)];
  const diff = useQuery(fileOf(run, ABOUT.diff, hasDiff));
  const packages = useQuery(fileOf(run, ABOUT.packages, hasPackages));
  const tags = tracked?.tags ?? {};
  const commit = tags["git.commit"];
  const known = commit || tags.command || hasDiff;
  if (!known && !hasPackages) return null;
  return (
    <>
      {known && (
        <Panel title={t("code.title")}>
          <Facts
            facts={[
              [t("code.commit"), commit && <span key="commit" className={css.commit}><span className="mono">{commit}</span><Copy text={commit} /></span>],
              [t("code.branch"), tags["git.branch"]],
              [t("code.command"), tags.command && <span key="command" className="mono">{tags.command}</span>],
              [t("code.changed"), hasDiff || !commit ? null : t("code.unchanged")],
            ]}
          />
          {hasDiff && <h3 className={css.head}>{t("code.diff")}</h3>}
          {diff.error && <Problem error={diff.error} />}
          {hasDiff && diff.isPending && <RowsSkeleton count={3} />}
          {diff.data && <PatchView text={diff.data} />}
        </Panel>
      )}
      {hasPackages && (
        <Panel title={t("code.environment")} hint={[tags.python && `Python ${tags.python}`, tags.system].filter(Boolean).join(" · ")}>
          {packages.error && <Problem error={packages.error} />}
          {packages.isPending && <RowsSkeleton count={3} />}
          {packages.data !== undefined && <Packages text={packages.data} />}
        </Panel>
      )}
    </>
  );
}
