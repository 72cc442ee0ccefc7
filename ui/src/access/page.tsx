/** Access: users and roles of the project, tokens, and the audit log. */
import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";

import { useSpeech } from "../i18n";
import { Page } from "../parts/page";
import { useSession } from "../session";
import { AuditTab } from "./audit";
import { TokensTab } from "./tokens";
import { UsersTab } from "./users";

export function AccessPage() {
  const { t } = useSpeech();
  const { may } = useSession();
  const { tab } = useSearch({ from: "/shell/access" });
  const navigate = useNavigate();
  const tabs = (["users", "tokens", "audit"] as const).filter((name) => may(`${name}.list`));
  const shown = tabs.find((name) => name === tab) ?? tabs[0];
  return (
    <Page title={t("nav.access")} lead={t("access.lead")}>
      {shown && (
        <Tabs value={shown} keepMounted={false} onChange={(next) => void navigate({ to: "/access", search: { tab: next ?? undefined }, replace: true })}>
          <Tabs.List mb="md">{tabs.map((name) => <Tabs.Tab key={name} value={name}>{t(`access.${name}`)}</Tabs.Tab>)}</Tabs.List>
          <Tabs.Panel value="users"><UsersTab /></Tabs.Panel>
          <Tabs.Panel value="tokens"><TokensTab /></Tabs.Panel>
          <Tabs.Panel value="audit"><AuditTab /></Tabs.Panel>
        </Tabs>
      )}
    </Page>
  );
}
