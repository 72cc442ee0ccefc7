/** The log of a run as it is written: of all workers or of one, with a search. */
import { SegmentedControl, Select, Switch, TextInput } from "@mantine/core";
import { memo, useEffect, useMemo, useRef, useState } from "react";

import type { RunLog as Log } from "../api/stream";
import type { LogLine } from "../api/types";
import { clockTime } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel } from "../parts/page";
import parts from "../parts/parts.module.css";
import { cutAt, linesShown } from "./log-lines";
import css from "./runs.module.css";

const RANK_TONES = ["#5fd6c5", "#ffb067", "#a9a4ff", "#7fbdf7", "#f08cb8", "#b7dc6b"];
const NEAR_END = 24;
const MOST_SEGMENTS = 4;

const Line = memo(function Line({ line, wanted }: { line: LogLine; wanted: string }) {
  const style = { "--tone": line.rank < 0 ? "#6f8583" : RANK_TONES[line.rank % RANK_TONES.length] } as React.CSSProperties;
  return (
    <div className={css.line}>
      <time dateTime={line.time}>{clockTime(line.time)}</time>
      <span className={css.rank} style={style}>{line.rank < 0 ? "·" : line.rank}</span>
      <span className={css.text}>{cutAt(line.text, wanted).map((piece, i) => (i % 2 === 1 ? <mark key={i}>{piece}</mark> : piece))}</span>
    </div>
  );
});

interface ToolsProps {
  workers: number;
  rank: number | null;
  onRank: (rank: number | null) => void;
  wanted: string;
  onWanted: (wanted: string) => void;
}

function Tools({ workers, rank, onRank, wanted, onWanted }: ToolsProps) {
  const { t } = useSpeech();
  const choices = [{ value: "all", label: t("word.all") }, ...Array.from({ length: workers }, (_, n) => ({ value: String(n), label: t("runs.worker", { n }) }))];
  const value = rank === null ? "all" : String(rank);
  const choose = (next: string | null) => onRank(next === null || next === "all" ? null : Number(next));
  return (
    <div className={css.logTools}>
      {workers > 1 && workers <= MOST_SEGMENTS && <SegmentedControl size="xs" aria-label={t("runs.worker.of")} value={value} onChange={choose} data={choices} />}
      {workers > MOST_SEGMENTS && <Select size="xs" w={150} searchable allowDeselect={false} aria-label={t("runs.worker.of")} value={value} onChange={choose} data={choices} />}
      <TextInput
        size="xs" className={css.logSearch} aria-label={t("runs.logSearch")} placeholder={t("runs.logSearch")} value={wanted} spellCheck={false}
        leftSection={<Icon name="search" size={14} />} onChange={(event) => onWanted(event.currentTarget.value)}
      />
    </div>
  );
}

export function RunLog({ log: { lines, ended }, workers }: { log: Log; workers: number }) {
  const { t } = useSpeech();
  const [follow, setFollow] = useState(true);
  const [rank, setRank] = useState<number | null>(null);
  const [wanted, setWanted] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => linesShown(lines, rank, wanted), [lines, rank, wanted]);

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, follow]);
  const scrolled = () => {
    const element = box.current;
    if (element) setFollow(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END);
  };

  const side = (
    <span className={css.tools}>
      <span className={css.live} style={ended ? undefined : { color: "var(--good)" }}>
        <span className={`${parts.dot} ${ended ? "" : parts.pulse}`} />
        {ended ? t("runs.logEnded") : t("runs.logLive")} · {shown.length === lines.length ? t("count.lines", { n: lines.length }) : t("runs.logShown", { n: shown.length, of: lines.length })}
      </span>
      <Switch size="xs" label={t("runs.follow")} checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} />
    </span>
  );
  return (
    <Panel title={t("runs.log")} side={side} flush>
      <Tools workers={workers} rank={rank} onRank={setRank} wanted={wanted} onWanted={setWanted} />
      <div className={css.log} ref={box} onScroll={scrolled} role="log" aria-label={t("runs.log")} tabIndex={0}>
        {shown.length === 0 && <div className={css.quiet}>{lines.length === 0 ? t("runs.logEmpty") : t("runs.logNothing")}</div>}
        {shown.map((line) => <Line key={line.seq} line={line} wanted={wanted} />)}
      </div>
    </Panel>
  );
}
