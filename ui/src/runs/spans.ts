/** When runs waited and worked, as shares of a span of time. Pure. */
import type { Run } from "../api/types";

export interface Bar {
  run: Run;
  /** Shares of the whole span: when it was submitted, when it started and when it ended. */
  asked: number;
  started: number | null;
  ended: number;
}

export interface History {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  bars: Bar[];
}

/** The time that runs take up together; one that has not ended goes on until now. */
export function historyOf(runs: readonly Run[], now: number): History {
  const at = (time: string | null) => (time === null ? null : Date.parse(time));
  const times = runs.map((run) => {
    const asked = Math.min(Date.parse(run.created_at), at(run.started_at) ?? Infinity);
    return { run, asked, started: at(run.started_at), ended: at(run.ended_at) ?? now };
  });
  const from = Math.min(...times.map(({ asked }) => asked), now);
  const to = Math.max(...times.map(({ ended }) => ended), from + 1);
  const share = (time: number) => Math.min(Math.max((time - from) / (to - from), 0), 1);
  return { from, to, bars: times.map(({ run, asked, started, ended }) => ({ run, asked: share(asked), started: started === null ? null : share(started), ended: share(ended) })) };
}
