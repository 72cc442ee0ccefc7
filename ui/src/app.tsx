/** Everything plugged together: colours, language, server state and pages. */
import { MantineProvider } from "@mantine/core";
import { Notifications, notifications } from "@mantine/notifications";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRouter, RouterProvider } from "@tanstack/react-router";

import { ApiError, sentenceOf } from "./api/request";
import { SpeechProvider } from "./i18n";
import { PageSkeleton } from "./parts/page";
import { routes } from "./routes";
import { theme } from "./theme";

declare module "@tanstack/react-query" {
  interface Register {
    /** `quiet`: the page shows this error itself. */
    mutationMeta: { quiet?: boolean };
  }
}

function askToSignIn(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.status !== 401) return false;
  const { pathname, search } = window.location;
  if (pathname !== "/sign-in") void router.navigate({ to: "/sign-in", search: { next: pathname + search } });
  return true;
}

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      // A refusal will not change by asking again; a platform that restarts will answer soon.
      retry: (count, error) => count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 502),
    },
  },
  queryCache: new QueryCache({ onError: (error) => void askToSignIn(error) }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _result, { meta }) => {
      if (meta?.quiet || askToSignIn(error)) return;
      notifications.show({ color: "red", message: sentenceOf(error), autoClose: 12_000, withBorder: true });
    },
  }),
});

const router = createRouter({
  routeTree: routes,
  pathParamsAllowedCharacters: ["@"],
  defaultPreload: "intent",
  defaultPendingComponent: PageSkeleton,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <SpeechProvider>
        <QueryClientProvider client={client}>
          <RouterProvider router={router} />
        </QueryClientProvider>
        <Notifications position="bottom-right" limit={4} />
      </SpeechProvider>
    </MantineProvider>
  );
}
