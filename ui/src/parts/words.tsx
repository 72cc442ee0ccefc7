/** Small things that appear in every page: states, times, links to other nouns, copyable code, problems. */
import { ActionIcon, Button, CopyButton, Tooltip } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { ApiError, sentenceOf } from "../api/request";
import type { EndpointState, LineageKind, RunState } from "../api/types";
import { ago, moment } from "../format";
import { useSpeech } from "../i18n";
import { Icon, type IconName } from "../icons";
import css from "./parts.module.css";

const TONES: Record<RunState | EndpointState, string> = {
  queued: "var(--faint)",
  running: "var(--noun-endpoints)",
  succeeded: "var(--good)",
  failed: "var(--bad)",
  cancelled: "var(--faint)",
  starting: "var(--noun-endpoints)",
  ready: "var(--good)",
  stopped: "var(--faint)",
};

export function StateBadge({ state }: { state: RunState | EndpointState }) {
  const { say } = useSpeech();
  const moving = state === "running" || state === "starting";
  return (
    <span className={css.badge} style={{ "--tone": TONES[state] } as React.CSSProperties} data-state={state}>
      <span className={`${css.dot} ${moving ? css.pulse : ""}`} />
      {say("state", state)}
    </span>
  );
}

export function When({ time }: { time: string | null }) {
  const { tag } = useSpeech();
  if (!time) return <>–</>;
  return (
    <Tooltip label={moment(time, tag)}>
      <time dateTime={time}>{ago(time, tag)}</time>
    </Tooltip>
  );
}

const ROADS: Partial<Record<LineageKind, string>> = { dataset: "datasets", run: "runs", model: "models", endpoint: "endpoints" };

/** The page of "dataset:cancer@2", "model:cancer@1", "run:…" or "endpoint:…"; null where there is none. */
export function pageOf(id: string): string | null {
  const at = id.indexOf(":");
  const noun = at < 0 ? "datasets" : ROADS[id.slice(0, at) as LineageKind];
  return noun ? `/${noun}/${encodeURIComponent(id.slice(at + 1)).replace("%40", "@")}` : null;
}

export function iconOf(kind: string): IconName {
  return ((ROADS[kind as LineageKind] as IconName | undefined) ?? "file") satisfies IconName;
}

/** A link to what a reference names; a bare reference is a dataset. */
export function RefChip({ id, kind }: { id: string; kind?: LineageKind }) {
  const full = id.includes(":") || !kind ? id : `${kind}:${id}`;
  const of = full.includes(":") ? full.slice(0, full.indexOf(":")) : "dataset";
  const to = pageOf(full);
  const icon = iconOf(of);
  const inside = (
    <>
      <Icon name={icon} size={14} style={{ color: `var(--noun-${icon})`, flex: "none" }} />
      <span style={{ overflow: "hidden", textOverflow: "ellipsis" }}>{full.slice(full.indexOf(":") + 1)}</span>
    </>
  );
  return to ? <Link to={to} className={css.chip}>{inside}</Link> : <span className={css.chip}>{inside}</span>;
}

export function NameLink({ to, children }: { to: string; children: ReactNode }) {
  return <Link to={to} className={css.link}>{children}</Link>;
}

export function Copy({ text, label }: { text: string; label?: string }) {
  const { t } = useSpeech();
  return (
    <CopyButton value={text} timeout={1600}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? t("do.copied") : (label ?? t("do.copy"))}>
          <ActionIcon variant="subtle" color={copied ? "petrol" : "gray"} onClick={copy} aria-label={label ?? t("do.copy")}>
            <Icon name={copied ? "check" : "copy"} size={16} />
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** Text to copy; `copyable` null leaves the button to somebody else. */
export function Code({ text, copyable = text, wrap = false }: { text: string; copyable?: string | null; wrap?: boolean }) {
  return (
    <span className={`${css.code} ${wrap ? css.wrap : ""}`}>
      {/* A scrolling region has to be reachable by keyboard. */}
      <pre tabIndex={0}>{text}</pre>
      {copyable !== null && (
        <span className={css.codeCopy}>
          <Copy text={copyable} />
        </span>
      )}
    </span>
  );
}

interface EmptyProps {
  icon: IconName;
  title: string;
  text: string;
  command?: string;
  action?: ReactNode;
}

export function Empty({ icon, title, text, command, action }: EmptyProps) {
  const tone = `var(--noun-${icon}, var(--accent))`;
  return (
    <div className={css.empty}>
      <span className={css.emptyIcon} style={{ color: tone, background: `color-mix(in srgb, ${tone} 12%, transparent)` }}>
        <Icon name={icon} size={30} />
      </span>
      <h2 className={css.emptyTitle}>{title}</h2>
      <p className={css.emptyText}>{text}</p>
      {command && <Code text={command} />}
      {action && <div style={{ marginTop: 14 }}>{action}</div>}
    </div>
  );
}

/** What went wrong, in the platform's own sentence, where the content would have been. */
export function Problem({ error, title, onRetry }: { error: unknown; title?: string; onRetry?: () => void }) {
  const { t } = useSpeech();
  return (
    <div className={css.problem} role="alert">
      <Icon name="alert" size={20} />
      <div style={{ minWidth: 0 }}>
        <div className={css.problemTitle}>{title ?? t("error.title")}</div>
        <div className={css.problemText}>{sentenceOf(error)}</div>
        {error instanceof ApiError && error.code === "internal" && error.requestId && (
          <div className={css.panelHint}>{t("error.code", { id: error.requestId })}</div>
        )}
        {onRetry && (
          <Button size="xs" variant="default" mt={10} onClick={onRetry}>
            {t("do.again")}
          </Button>
        )}
      </div>
    </div>
  );
}
