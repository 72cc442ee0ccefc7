/** A dialog that starts a run, follows it and leads to what it made. */
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";

import type { Run } from "../api/types";
import { FollowRun } from "./confirm";
import { Dialog } from "./dialog";
import { pageOf } from "./words";

export interface RunFormProps {
  onStarted: (run: Run) => void;
  onClose: () => void;
}

interface RunDialogProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  size?: number;
  /** The tab to open on the page of what was made. */
  tab?: string;
  /** What is asked before the run starts. */
  children: (props: RunFormProps) => ReactNode;
}

export function RunDialog({ onClose, tab, children, ...rest }: RunDialogProps) {
  const navigate = useNavigate();
  const [run, setRun] = useState<Run | null>(null);
  const close = () => {
    onClose();
    setRun(null);
  };
  const done = (finished: Run) => {
    close();
    const made = finished.outputs[0];
    const to = made ? pageOf(made) : null;
    if (to) void navigate({ to, search: tab ? { tab } : {} });
  };
  return (
    <Dialog onClose={close} {...rest}>
      {run ? <FollowRun run={run} onDone={done} onClose={close} /> : children({ onStarted: setRun, onClose: close })}
    </Dialog>
  );
}
