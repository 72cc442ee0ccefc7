/** Users of the project and their roles. */
import { ActionIcon, Button, Group, PasswordInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { users } from "../api/queries";
import { request } from "../api/request";
import type { NewUser, Role, User } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { ConfirmDelete } from "../parts/confirm";
import { Dialog } from "../parts/dialog";
import { Panel, RowsSkeleton } from "../parts/page";
import css from "../parts/parts.module.css";
import { Code, Problem, When } from "../parts/words";
import { useSession } from "../session";

const ROLES: Role[] = ["owner", "steward", "editor", "viewer", "caller"];

function useRoleChoices() {
  const { say } = useSpeech();
  return ROLES.map((value) => ({ value, label: say("access.role", value) }));
}

function UserForm({ onClose }: { onClose: () => void }) {
  const { t } = useSpeech();
  const { project } = useSession();
  const client = useQueryClient();
  const roles = useRoleChoices();
  const [name, setName] = useState("");
  const [role, setRole] = useState<string>("viewer");
  const [password, setPassword] = useState("");
  const add = useMutation({
    mutationFn: () => request<NewUser>("POST", "/users", { body: { name, role, project, password: password || null } }),
    meta: { quiet: true },
    onSuccess: () => client.invalidateQueries({ queryKey: ["users"] }),
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    add.mutate();
  };
  if (add.data) {
    return (
      <Stack gap="md">
        <Text size="sm">{t("access.linkText")}</Text>
        <Code text={add.data.sign_in_url} wrap />
        <Group justify="flex-end"><Button onClick={onClose}>{t("do.close")}</Button></Group>
      </Stack>
    );
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <TextInput label={t("word.name")} required withAsterisk={false} data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <Select label={t("access.role")} description={t("access.roleHint")} allowDeselect={false} data={roles} value={role} onChange={(next) => next && setRole(next)} />
        <PasswordInput label={t("signIn.password")} description={t("access.passwordHint")} autoComplete="new-password" value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
        {add.isError && <Problem error={add.error} />}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose}>{t("do.cancel")}</Button>
          <Button type="submit" disabled={!name} loading={add.isPending}>{t("do.add")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function UserRow({ user, onDelete }: { user: User; onDelete: () => void }) {
  const { t, say } = useSpeech();
  const { may, me, project } = useSession();
  const client = useQueryClient();
  const roles = useRoleChoices();
  const own = me?.user.id === user.id;
  const change = useMutation({
    mutationFn: (role: string) => request<User>("PATCH", `/users/${encodeURIComponent(user.name)}`, { body: { role, project } }),
    onSettled: () => client.invalidateQueries({ queryKey: ["users"] }),
  });
  return (
    <tr>
      <td><b style={{ fontWeight: 560 }}>{user.name}</b></td>
      <td>
        {may("users.update") && !own ? (
          <Select size="xs" w={140} aria-label={t("access.roleOf", { name: user.name })} allowDeselect={false} data={roles} value={change.isPending ? change.variables : user.role} onChange={(role) => role && change.mutate(role)} />
        ) : (
          say("access.role", user.role)
        )}
      </td>
      <td className={css.quiet}>{user.has_password ? t("word.yes") : t("access.link")}</td>
      <td className={css.quiet}><When time={user.created_at} /></td>
      <td className={css.numeric}>
        {may("users.delete") && !own && (
          <ActionIcon variant="subtle" color="gray" aria-label={t("access.deleteUser", { name: user.name })} onClick={onDelete}>
            <Icon name="trash" size={16} />
          </ActionIcon>
        )}
      </td>
    </tr>
  );
}

export function UsersTab() {
  const { t } = useSpeech();
  const { may } = useSession();
  const { data, error, refetch } = useQuery(users());
  const [opened, { open, close }] = useDisclosure();
  const [leaving, setLeaving] = useState<string | null>(null);
  if (error) return <Problem error={error} onRetry={() => void refetch()} />;
  return (
    <>
      {may("users.create") && (
        <Group justify="flex-end" mb="sm">
          <Button leftSection={<Icon name="plus" size={16} />} onClick={open}>{t("access.addUser")}</Button>
        </Group>
      )}
      <Panel flush>
        {!data && <RowsSkeleton />}
        {data && (
          <div className={css.scroll}>
            <table className={css.table} aria-label={t("access.users")}>
              <thead>
                <tr>
                  <th>{t("word.name")}</th>
                  <th>{t("access.role")}</th>
                  <th>{t("signIn.password")}</th>
                  <th>{t("word.created")}</th>
                  <th />
                </tr>
              </thead>
              <tbody>{data.items.map((user) => <UserRow key={user.id} user={user} onDelete={() => setLeaving(user.name)} />)}</tbody>
            </table>
          </div>
        )}
      </Panel>
      <Dialog opened={opened} onClose={close} title={t("access.addUser")}>
        <UserForm onClose={close} />
      </Dialog>
      <ConfirmDelete
        opened={leaving !== null} onClose={() => setLeaving(null)} title={t("access.deleteUser", { name: leaving ?? "" })} text={t("access.deleteUserText")} noun="users"
        path={`/users/${encodeURIComponent(leaving ?? "")}`} done={t("access.deletedUser", { name: leaving ?? "" })}
      />
    </>
  );
}
