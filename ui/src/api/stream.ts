/** The live log of a run: server-sent events, or plain polling where a proxy swallows them. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { run as runQuery } from "./queries";
import { address, request } from "./request";
import type { LogLine, LogPage, Run } from "./types";

const KEPT_LINES = 5_000;
const POLL_MS = 1_500;

/** Append what is new; a line that arrives twice after a reconnect is kept once. */
export function appendLines(known: LogLine[], more: LogLine[]): LogLine[] {
  const last = known.at(-1)?.seq ?? -1;
  const fresh = more.filter(({ seq }) => seq > last);
  return fresh.length === 0 ? known : [...known, ...fresh].slice(-KEPT_LINES);
}

export function useRunLog(id: string): { lines: LogLine[]; ended: boolean } {
  const client = useQueryClient();
  const [lines, setLines] = useState<LogLine[]>([]);
  const [ended, setEnded] = useState(false);

  useEffect(() => {
    setLines([]);
    setEnded(false);
    let waiting: LogLine[] = [];
    let frame = 0;
    let timer = 0;
    let stopped = false;
    const path = `/runs/${encodeURIComponent(id)}/logs`;

    const flush = () => {
      frame = 0;
      const batch = waiting;
      waiting = [];
      setLines((known) => appendLines(known, batch));
    };
    const take = (more: LogLine[]) => {
      waiting.push(...more);
      frame ||= requestAnimationFrame(flush);
    };
    const finish = () => {
      setEnded(true);
      void client.invalidateQueries({ queryKey: ["runs"] });
    };
    const poll = async (after: number) => {
      try {
        const page = await request<LogPage>("GET", path, { query: { after } });
        if (stopped) return;
        take(page.lines);
        if (page.ended) return finish();
        timer = window.setTimeout(() => void poll(page.next), POLL_MS);
      } catch {
        if (!stopped) timer = window.setTimeout(() => void poll(after), 3 * POLL_MS);
      }
    };

    const events = new EventSource(address(path));
    events.addEventListener("line", (event) => take([JSON.parse(event.data) as LogLine]));
    events.addEventListener("run", (event) => client.setQueryData(runQuery(id).queryKey, JSON.parse(event.data) as Run));
    events.addEventListener("end", (event) => {
      events.close();
      if (event.data) client.setQueryData(runQuery(id).queryKey, JSON.parse(event.data) as Run);
      finish();
    });
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED && !stopped) void poll(0);
    };
    return () => {
      stopped = true;
      events.close();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [id, client]);

  return { lines, ended };
}
