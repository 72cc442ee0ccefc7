/** Who is signed in and what they may do here. Buttons ask `may`; the server decides again on every request. */
import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useMemo, useState } from "react";

import { me } from "./api/queries";
import { setProject } from "./api/request";
import type { Me } from "./api/types";

interface Session {
  me: Me | null;
  project: string;
  chooseProject: (name: string) => void;
  may: (action: string) => boolean;
}

const SessionContext = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const [project, choose] = useState("default");
  const { data } = useQuery({ ...me(), placeholderData: (before) => before });
  const session = useMemo<Session>(() => {
    const actions = new Set(data?.projects.find(({ name }) => name === project)?.actions);
    return {
      me: data ?? null,
      project,
      chooseProject: (name) => {
        setProject(name);
        choose(name);
      },
      may: (action) => actions.has(action),
    };
  }, [data, project]);
  return <SessionContext.Provider value={session}>{children}</SessionContext.Provider>;
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("useSession needs a SessionProvider around it");
  return session;
}
