/** The log of a run as it is written, one line of one worker after the other. */
import { Switch } from "@mantine/core";
import { memo, useEffect, useRef, useState } from "react";

import type { RunLog as Log } from "../api/stream";
import type { LogLine } from "../api/types";
import { clockTime } from "../format";
import { useSpeech } from "../i18n";
import { Panel } from "../parts/page";
import parts from "../parts/parts.module.css";
import css from "./runs.module.css";

const RANK_TONES = ["#5fd6c5", "#ffb067", "#a9a4ff", "#7fbdf7", "#f08cb8", "#b7dc6b"];
const NEAR_END = 24;

const Line = memo(function Line({ line }: { line: LogLine }) {
  const style = { "--tone": line.rank < 0 ? "#6f8583" : RANK_TONES[line.rank % RANK_TONES.length] } as React.CSSProperties;
  return (
    <div className={css.line}>
      <time dateTime={line.time}>{clockTime(line.time)}</time>
      <span className={css.rank} style={style}>{line.rank < 0 ? "·" : line.rank}</span>
      <span className={css.text}>{line.text}</span>
    </div>
  );
});

export function RunLog({ log: { lines, ended } }: { log: Log }) {
  const { t } = useSpeech();
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);
  const scrolled = () => {
    const element = box.current;
    if (element) setFollow(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END);
  };

  const side = (
    <span className={css.tools}>
      <span className={css.live} style={ended ? undefined : { color: "var(--good)" }}>
        <span className={`${parts.dot} ${ended ? "" : parts.pulse}`} />
        {ended ? t("runs.logEnded") : t("runs.logLive")} · {t("count.lines", { n: lines.length })}
      </span>
      <Switch size="xs" label={t("runs.follow")} checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
    </span>
  );
  return (
    <Panel title={t("runs.log")} side={side} flush>
      <div className={css.log} ref={box} onScroll={scrolled} role="log" aria-label={t("runs.log")} tabIndex={0}>
        {lines.length === 0 && <div className={css.quiet}>{t("runs.logEmpty")}</div>}
        {lines.map((line) => <Line key={line.seq} line={line} />)}
      </div>
    </Panel>
  );
}
