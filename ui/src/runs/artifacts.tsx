/** The files that a run has left: pictures are shown, all can be taken out. */
import { ActionIcon } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { runArtifacts } from "../api/queries";
import { content, download } from "../api/request";
import type { Artifact, Run } from "../api/types";
import { bytes } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { isOpen } from "../api/queries";
import { Panel } from "../parts/page";
import css from "../parts/parts.module.css";

const PICTURES: Record<string, string> = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", webp: "image/webp" };
const MAX_PICTURE_BYTES = 4_000_000;
const MAX_PICTURES = 12;

/** Formats that run code when they are opened, which nothing here does. */
const INERT = /(^|\/)MLmodel$|\.(pkl|pickle|cloudpickle|joblib|pt|pth|dill)$/i;

const kindOf = (path: string): string | undefined => PICTURES[path.split(".").pop()?.toLowerCase() ?? ""];
const pathOf = (run: Run, path: string): string => `/runs/${encodeURIComponent(run.id)}/artifacts/${path.split("/").map(encodeURIComponent).join("/")}`;

function Picture({ run, artifact }: { run: Run; artifact: Artifact }) {
  const [source, setSource] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    let made = "";
    // The type is ours, by the name; what the bytes say of themselves is not asked.
    content(pathOf(run, artifact.path), stop.signal)
      .then((data) => {
        made = URL.createObjectURL(new Blob([data], { type: kindOf(artifact.path) }));
        setSource(made);
      })
      .catch(() => undefined);
    return () => {
      stop.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [run, artifact.path]);
  return (
    <figure style={{ margin: 0, minWidth: 0 }}>
      {source && <img src={source} alt={artifact.path} style={{ maxWidth: "100%", borderRadius: 8, border: "1px solid var(--line)" }} />}
      <figcaption className="mono" style={{ color: "var(--faint)", fontSize: 12, overflowWrap: "anywhere" }}>{artifact.path}</figcaption>
    </figure>
  );
}

function ArtifactRow({ run, artifact }: { run: Run; artifact: Artifact }) {
  const { t } = useSpeech();
  const save = useMutation({ mutationFn: () => download(pathOf(run, artifact.path), {}, artifact.path.split("/").pop() ?? "file") });
  return (
    <tr>
      <td className="mono" style={{ overflowWrap: "anywhere" }}>{artifact.path}</td>
      <td className={css.numeric}>{bytes(artifact.size_bytes)}</td>
      <td className={css.numeric}>
        <ActionIcon variant="subtle" color="gray" loading={save.isPending} aria-label={t("runs.download", { path: artifact.path })} onClick={() => save.mutate()}>
          <Icon name="download" size={17} />
        </ActionIcon>
      </td>
    </tr>
  );
}

export function Artifacts({ run }: { run: Run }) {
  const { t } = useSpeech();
  const { data } = useQuery(runArtifacts(run.id, isOpen(run)));
  const items = data?.items ?? [];
  if (items.length === 0) return null;
  const pictures = items.filter(({ path, size_bytes }) => kindOf(path) && size_bytes <= MAX_PICTURE_BYTES).slice(0, MAX_PICTURES);
  return (
    <Panel flush title={t("runs.artifacts")} hint={items.some(({ path }) => INERT.test(path)) ? t("runs.inert") : undefined}>
      {pictures.length > 0 && (
        <div style={{ display: "grid", gridTemplateColumns: "repeat(auto-fill, minmax(220px, 1fr))", gap: 18, padding: "14px 20px" }}>
          {pictures.map((artifact) => <Picture key={`${artifact.path} ${artifact.sha256}`} run={run} artifact={artifact} />)}
        </div>
      )}
      <div className={css.scroll}>
        <table className={css.table} aria-label={t("runs.artifacts")}>
          <thead><tr><th>{t("word.file")}</th><th className={css.numeric}>{t("word.size")}</th><th /></tr></thead>
          <tbody>{items.map((artifact) => <ArtifactRow key={artifact.path} run={run} artifact={artifact} />)}</tbody>
        </table>
      </div>
    </Panel>
  );
}
