/** All datasets of the project. */
import { Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";

import { datasets } from "../api/queries";
import { bytes, number } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Page, Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Empty, NameLink, Problem, When } from "../parts/words";
import { useSession } from "../session";
import { ImportDialog } from "./import-dialog";

export function DatasetList() {
  const { t, tag, say } = useSpeech();
  const { may } = useSession();
  const { data, error, refetch } = useQuery(datasets());
  const [opened, { open, close }] = useDisclosure();
  const importButton = may("datasets.import") && (
    <Button leftSection={<Icon name="upload" size={17} />} onClick={open}>{t("do.import")}</Button>
  );
  return (
    <Page title={t("nav.datasets")} lead={t("datasets.lead")} actions={data?.items.length ? importButton : undefined}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!error && (
        <Panel flush>
          {!data && <RowsSkeleton />}
          {data?.items.length === 0 && (
            <Empty icon="datasets" title={t("datasets.empty")} text={t("datasets.emptyText")} command="lepton datasets import customers.csv" action={importButton} />
          )}
          {data && data.items.length > 0 && (
            <div className={css.scroll}>
              <table className={css.table} aria-label={t("nav.datasets")}>
                <thead>
                  <tr>
                    <th>{t("word.name")}</th>
                    <th>{t("datasets.latest")}</th>
                    <th className={css.numeric}>{t("word.rows")}</th>
                    <th className={css.numeric}>{t("word.columns")}</th>
                    <th className={css.numeric}>{t("word.size")}</th>
                    <th>{t("word.created")}</th>
                    <th>{t("word.by")}</th>
                  </tr>
                </thead>
                <tbody>
                  {data.items.map(({ name, latest, versions }) => {
                    const newest = versions[0];
                    return (
                      <tr key={name}>
                        <td><NameLink to={`/datasets/${name}`}>{name}</NameLink></td>
                        <td className={css.quiet}>@{latest}{newest && ` · ${say("made", newest.made_by)}`}</td>
                        <td className={css.numeric}>{number(newest?.rows, tag)}</td>
                        <td className={css.numeric}>{number(newest?.columns, tag)}</td>
                        <td className={css.numeric}>{newest ? bytes(newest.size_bytes) : "–"}</td>
                        <td className={css.quiet}><When time={newest?.created_at ?? null} /></td>
                        <td className={css.quiet}>{newest?.created_by}</td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          )}
        </Panel>
      )}
      <ImportDialog opened={opened} onClose={close} />
    </Page>
  );
}
