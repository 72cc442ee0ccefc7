/** All models of the project, with the measure of their latest version. */
import { Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";

import { models } from "../api/queries";
import { bytes } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Page, Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Empty, NameLink, Problem, RefChip, When } from "../parts/words";
import { useSession } from "../session";
import { headline, metricName, metricText } from "./metrics";
import { RegisterDialog } from "./register-dialog";
import { StudiesPanel } from "./studies";

export function ModelList() {
  const { t, tag, say } = useSpeech();
  const { may } = useSession();
  const { data, error, refetch } = useQuery(models());
  const [opened, { open, close }] = useDisclosure();
  const register = may("models.register") && <Button leftSection={<Icon name="upload" size={17} />} onClick={open}>{t("do.register")}</Button>;
  return (
    <Page title={t("nav.models")} lead={t("models.lead")} actions={data?.items.length ? register : undefined}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!error && (
        <Panel flush>
          {!data && <RowsSkeleton />}
          {data?.items.length === 0 && (
            <Empty icon="models" title={t("models.empty")} text={t("models.emptyText")} command="lepton models train customers --target churned" action={register} />
          )}
          {data && data.items.length > 0 && (
            <div className={css.scroll}>
              <table className={css.table} aria-label={t("nav.models")}>
                <thead>
                  <tr>
                    <th>{t("word.name")}</th>
                    <th>{t("datasets.latest")}</th>
                    <th>{t("word.task")}</th>
                    <th>{t("word.target")}</th>
                    <th>{t("models.headline")}</th>
                    <th>{t("word.dataset")}</th>
                    <th className={css.numeric}>{t("word.size")}</th>
                    <th>{t("word.created")}</th>
                  </tr>
                </thead>
                <tbody>
                  {data.items.map(({ name, latest, versions }) => {
                    const newest = versions[0];
                    const measure = newest && headline(newest.metrics, newest.task);
                    return (
                      <tr key={name}>
                        <td><NameLink to={`/models/${name}`}>{name}</NameLink></td>
                        <td className={css.quiet}>@{latest}</td>
                        <td className={css.quiet}>{newest && say("recipe", newest.recipe)}</td>
                        <td className={css.quiet}>{newest?.target}</td>
                        <td className={css.quiet}>
                          {measure && <>{metricName(measure[0], say)} <b className="figures" style={{ color: "var(--text)" }}>{metricText(measure[0], measure[1], tag)}</b></>}
                        </td>
                        <td>{newest?.dataset && <RefChip id={newest.dataset} kind="dataset" />}</td>
                        <td className={css.numeric}>{newest ? bytes(newest.size_bytes) : "–"}</td>
                        <td className={css.quiet}><When time={newest?.created_at ?? null} /></td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          )}
        </Panel>
      )}
      <StudiesPanel />
      <RegisterDialog opened={opened} onClose={close} />
    </Page>
  );
}
