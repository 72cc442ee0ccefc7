/** API tokens: made here, shown once, limited and deleted here. */
import { ActionIcon, Button, Group, MultiSelect, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { tokens } from "../api/queries";
import { request } from "../api/request";
import type { NewToken, Token } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { ConfirmDelete } from "../parts/confirm";
import { Dialog } from "../parts/dialog";
import { Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Code, Empty, Problem, When } from "../parts/words";
import { useSession } from "../session";

const DAY_S = 86_400;
const LIVES = [1, 7, 30, 90, 365];

function TokenForm({ onClose }: { onClose: () => void }) {
  const { t } = useSpeech();
  const { me, project } = useSession();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>([]);
  const [days, setDays] = useState<string | null>("90");
  const make = useMutation({
    mutationFn: () =>
      request<NewToken>("POST", "/tokens", { body: { name, scopes: scopes.length ? scopes : null, expires_in_s: days === "never" ? null : Number(days) * DAY_S } }),
    meta: { quiet: true },
    onSuccess: () => client.invalidateQueries({ queryKey: ["tokens"] }),
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    make.mutate();
  };
  if (make.data) {
    return (
      <Stack gap="md">
        <Text size="sm">{t("access.secret")}</Text>
        <Code text={make.data.secret} wrap />
        <Group justify="flex-end"><Button onClick={onClose}>{t("do.close")}</Button></Group>
      </Stack>
    );
  }
  const actions = me?.projects.find((one) => one.name === project)?.actions ?? [];
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <TextInput label={t("word.name")} required withAsterisk={false} data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <MultiSelect label={t("access.scopes")} description={t("access.scopesHint")} data={actions} value={scopes} onChange={setScopes} searchable clearable />
        <Select
          label={t("access.expires")} allowDeselect={false} value={days} onChange={setDays}
          data={[...LIVES.map((n) => ({ value: String(n), label: t("access.days", { n }) })), { value: "never", label: t("access.never") }]}
        />
        {make.isError && <Problem error={make.error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
          <Button type="submit" disabled={!name} loading={make.isPending}>{t("do.create")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function TokenRow({ token, onDelete }: { token: Token; onDelete: () => void }) {
  const { t } = useSpeech();
  return (
    <tr>
      <td><b style={{ fontWeight: 560 }}>{token.name}</b></td>
      <td className={css.quiet}>{token.user}</td>
      <td><span className="mono">{token.prefix}…</span></td>
      <td className={css.quiet}>{token.scopes?.join(", ") ?? t("access.unlimited")}</td>
      <td className={css.quiet}>{token.expires_at ? <When time={token.expires_at} /> : t("access.never")}</td>
      <td className={css.quiet}><When time={token.last_used_at} /></td>
      <td className={css.numeric}>
        <ActionIcon variant="subtle" color="gray" aria-label={t("access.deleteToken", { name: token.name })} onClick={onDelete}>
          <Icon name="trash" size={16} />
        </ActionIcon>
      </td>
    </tr>
  );
}

export function TokensTab() {
  const { t } = useSpeech();
  const { may } = useSession();
  const { data, error, refetch } = useQuery(tokens());
  const [opened, { open, close }] = useDisclosure();
  const [ending, setEnding] = useState<Token | null>(null);
  if (error) return <Problem error={error} onRetry={() => void refetch()} />;
  const create = may("tokens.create") && <Button leftSection={<Icon name="plus" size={16} />} onClick={open}>{t("access.addToken")}</Button>;
  return (
    <>
      {data && data.items.length > 0 && <Group justify="flex-end" mb="sm">{create}</Group>}
      <Panel flush>
        {!data && <RowsSkeleton />}
        {data?.items.length === 0 && <Empty icon="access" title={t("access.noTokens")} text={t("access.noTokensText")} action={create} />}
        {data && data.items.length > 0 && (
          <div className={css.scroll}>
            <table className={css.table} aria-label={t("access.tokens")}>
              <thead>
                <tr>
                  <th>{t("word.name")}</th>
                  <th>{t("access.actor")}</th>
                  <th>{t("access.prefix")}</th>
                  <th>{t("access.scopes")}</th>
                  <th>{t("access.expires")}</th>
                  <th>{t("access.lastUsed")}</th>
                  <th />
                </tr>
              </thead>
              <tbody>{data.items.map((token) => <TokenRow key={token.id} token={token} onDelete={() => setEnding(token)} />)}</tbody>
            </table>
          </div>
        )}
      </Panel>
      <Dialog opened={opened} onClose={close} title={t("access.addToken")}>
        <TokenForm onClose={close} />
      </Dialog>
      <ConfirmDelete
        opened={ending !== null} onClose={() => setEnding(null)} title={t("access.deleteToken", { name: ending?.name ?? "" })} text={t("access.deleteTokenText")} noun="tokens"
        path={`/tokens/${encodeURIComponent(ending?.id ?? "")}`} done={t("access.deletedToken", { name: ending?.name ?? "" })}
      />
    </>
  );
}
