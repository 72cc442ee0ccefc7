/** The table of pages. Each one is its own chunk, loaded when first opened. */
import { Button } from "@mantine/core";
import { createRootRoute, createRoute, type ErrorComponentProps, lazyRouteComponent, Link, redirect } from "@tanstack/react-router";

import { useSpeech } from "./i18n";
import { Empty, Problem } from "./parts/words";
import { Shell } from "./shell/shell";
import { SignIn } from "./shell/sign-in";

function NotFound() {
  const { t } = useSpeech();
  return <Empty icon="road" title="404" text={t("app.notFound")} action={<Button component={Link} to="/datasets">{t("app.home")}</Button>} />;
}

function Crashed({ error }: ErrorComponentProps) {
  const { t } = useSpeech();
  return (
    <div style={{ padding: 32, maxWidth: 720 }}>
      <Problem title={t("app.crashed")} error={error} onRetry={() => window.location.reload()} />
    </div>
  );
}

const root = createRootRoute({ notFoundComponent: NotFound, errorComponent: Crashed });

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** How the list of runs is looked at; columns have line ends between them, as any other sign can be in a name. */
interface RunsSearch {
  state?: string;
  filter?: string;
  order?: string;
  columns?: string;
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignIn,
  // A code may consist of digits only, which the router would read as a number.
  validateSearch: (search: Record<string, unknown>): { code?: string; next?: string } => ({
    code: search.code === undefined ? undefined : String(search.code),
    next: text(search.next),
  }),
});

const shell = createRoute({ getParentRoute: () => root, id: "shell", component: Shell });
const parent = { getParentRoute: () => shell };

const home = createRoute({
  ...parent,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/datasets", replace: true });
  },
});

const datasets = createRoute({ ...parent, path: "/datasets", component: lazyRouteComponent(() => import("./datasets/list"), "DatasetList") });
const dataset = createRoute({
  ...parent,
  path: "/datasets/$ref",
  component: lazyRouteComponent(() => import("./datasets/page"), "DatasetPage"),
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
});
const labels = createRoute({ ...parent, path: "/labels", component: lazyRouteComponent(() => import("./labels/list"), "LabelList") });
const runs = createRoute({
  ...parent,
  path: "/runs",
  component: lazyRouteComponent(() => import("./runs/list"), "RunList"),
  validateSearch: (search: Record<string, unknown>): RunsSearch => ({
    state: text(search.state), filter: text(search.filter), order: text(search.order), columns: text(search.columns),
  }),
});
const compare = createRoute({
  ...parent,
  path: "/runs/compare",
  component: lazyRouteComponent(() => import("./runs/compare"), "ComparePage"),
  // A list of one id that is all digits would be read as a number.
  validateSearch: (search: Record<string, unknown>): { ids?: string } => ({ ids: search.ids === undefined ? undefined : String(search.ids) }),
});
const run = createRoute({ ...parent, path: "/runs/$id", component: lazyRouteComponent(() => import("./runs/page"), "RunPage") });
const compute = createRoute({ ...parent, path: "/compute", component: lazyRouteComponent(() => import("./runs/compute"), "ComputePage") });
const models = createRoute({ ...parent, path: "/models", component: lazyRouteComponent(() => import("./models/list"), "ModelList") });
const model = createRoute({ ...parent, path: "/models/$ref", component: lazyRouteComponent(() => import("./models/page"), "ModelPage") });
const study = createRoute({ ...parent, path: "/models/studies/$name", component: lazyRouteComponent(() => import("./models/study"), "StudyPage") });
const endpoints = createRoute({ ...parent, path: "/endpoints", component: lazyRouteComponent(() => import("./endpoints/list"), "EndpointList") });
const endpoint = createRoute({ ...parent, path: "/endpoints/$name", component: lazyRouteComponent(() => import("./endpoints/page"), "EndpointPage") });
const access = createRoute({
  ...parent,
  path: "/access",
  component: lazyRouteComponent(() => import("./access/page"), "AccessPage"),
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
});

export const routes = root.addChildren([
  signIn,
  shell.addChildren([home, datasets, dataset, labels, runs, compare, run, compute, models, model, study, endpoints, endpoint, access]),
]);
