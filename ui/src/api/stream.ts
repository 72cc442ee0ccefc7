/** A run and its log as they go on: server-sent events, or plain polling where a proxy swallows them. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { endpointMetrics, run as runQuery } from "./queries";
import { address, request } from "./request";
import type { EndpointMetrics, LogLine, LogPage, Run } from "./types";

const KEPT_LINES = 5_000;
const POLL_MS = 1_500;

/** Append what is new; a line that arrives twice after a reconnect is kept once. */
export function appendLines(known: LogLine[], more: LogLine[]): LogLine[] {
  const last = known.at(-1)?.seq ?? -1;
  const fresh = more.filter(({ seq }) => seq > last);
  return fresh.length === 0 ? known : [...known, ...fresh].slice(-KEPT_LINES);
}

/** Keep what the pages know of a run up to date with what a stream tells of it; `onEnd` is called once. */
function tell(client: QueryClient, events: EventSource, id: string, onEnd: () => void): void {
  const keep = (data: string) => client.setQueryData(runQuery(id).queryKey, JSON.parse(data) as Run);
  events.addEventListener("run", (event) => keep(event.data));
  events.addEventListener("end", (event) => {
    events.close();
    if (event.data) keep(event.data);
    onEnd();
  });
}

/** Follow a run without its log; whether the stream stands. */
export function useRunChanges(id: string): boolean {
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  useEffect(() => {
    setLive(true);
    const events = new EventSource(address(`/runs/${encodeURIComponent(id)}`));
    tell(client, events, id, () => undefined);
    events.onerror = () => setLive(events.readyState !== EventSource.CLOSED);
    return () => events.close();
  }, [id, client]);
  return live;
}

/** Follow how an endpoint does; whether the stream stands. */
export function useEndpointChanges(name: string): boolean {
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  useEffect(() => {
    setLive(true);
    const events = new EventSource(address(`/endpoints/${encodeURIComponent(name)}/metrics`));
    events.addEventListener("metrics", (event) => client.setQueryData(endpointMetrics(name).queryKey, JSON.parse(event.data) as EndpointMetrics));
    events.addEventListener("end", () => events.close());
    events.onerror = () => setLive(events.readyState !== EventSource.CLOSED);
    return () => events.close();
  }, [name, client]);
  return live;
}

export interface RunLog {
  lines: LogLine[];
  ended: boolean;
  /** Whether the stream stands, and with it tells of every change of the run. */
  live: boolean;
}

export function useRunLog(id: string): RunLog {
  const client = useQueryClient();
  const [lines, setLines] = useState<LogLine[]>([]);
  const [ended, setEnded] = useState(false);
  const [live, setLive] = useState(true);

  useEffect(() => {
    setLines([]);
    setEnded(false);
    setLive(true);
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
    tell(client, events, id, finish);
    events.onerror = () => {
      if (events.readyState !== EventSource.CLOSED || stopped) return;
      setLive(false);
      void poll(0);
    };
    return () => {
      stopped = true;
      events.close();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [id, client]);

  return { lines, ended, live };
}
