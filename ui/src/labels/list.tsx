/** Labels: an honest empty place until labelling exists. */
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";

import { useSpeech } from "../i18n";
import { Page, Panel } from "../parts/page";
import { Empty } from "../parts/words";

export function LabelList() {
  const { t } = useSpeech();
  return (
    <Page title={t("nav.labels")} lead={t("labels.lead")}>
      <Panel flush>
        <Empty icon="labels" title={t("labels.empty")} text={t("labels.emptyText")} action={<Button component={Link} to="/datasets" variant="default">{t("labels.go")}</Button>} />
      </Panel>
    </Page>
  );
}
