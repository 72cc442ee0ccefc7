/** Signing in: by the one-time link that carries a code, or by name and password. */
import { Button, Loader, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type SyntheticEvent, useEffect, useRef, useState } from "react";

import { me } from "../api/queries";
import { request } from "../api/request";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Icon, type IconName, Mark } from "../icons";
import { Code, Problem } from "../parts/words";
import { ColorSwitch, LanguageSwitch } from "./preferences";
import css from "./sign-in.module.css";

type Credentials = { code: string } | { name: string; password: string };

/** Only a path of our own may be the place to go after signing in. */
export function safeNext(next: string | undefined): string {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith("/sign-in") ? next : "/datasets";
}

const PROMISES = [
  ["lock", "signIn.promise1", "signIn.promise1Text"],
  ["road", "signIn.promise2", "signIn.promise2Text"],
  ["home", "signIn.promise3", "signIn.promise3Text"],
] as const satisfies [IconName, string, string][];

function Orbits() {
  return (
    <svg className={css.orbits} viewBox="-310 -310 620 620" aria-hidden="true" fill="none">
      {[-32, 28, 88].map((turn, i) => (
        <g key={turn} transform={`rotate(${turn})`}>
          <ellipse rx={286} ry={112} stroke="#5fd6c5" strokeOpacity={0.34} strokeWidth={1.4} />
          <circle cx={[236, -262, 120][i]} cy={[63.3, 45, -101.7][i]} r={[8, 6, 7][i]} fill={["#ffb067", "#5fd6c5", "#d6fff7"][i]} />
        </g>
      ))}
      <circle r="26" fill="#fff" fillOpacity={0.92} />
      <circle r="58" fill="#fff" fillOpacity={0.07} />
    </svg>
  );
}

export function SignIn() {
  const { t } = useSpeech();
  const { code, next } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const tried = useRef<string | null>(null);

  const enter = useMutation({
    mutationFn: (credentials: Credentials) => request<Me>("POST", "/sign-in", { body: credentials }),
    meta: { quiet: true },
    onSuccess: async (answer) => {
      client.setQueryData(me().queryKey, answer);
      await navigate({ to: safeNext(next), replace: true });
    },
  });

  useEffect(() => {
    document.title = `${t("do.signIn")} · Lepton`;
  }, [t]);
  useEffect(() => {
    // A link works once, and React runs effects twice while developing.
    if (!code || tried.current === code) return;
    tried.current = code;
    enter.mutate({ code });
  }, [code, enter]);

  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    enter.mutate({ name, password });
  };
  const byLink = enter.variables && "code" in enter.variables;

  return (
    <div className={css.split}>
      <aside className={css.story}>
        <Orbits />
        <div className={css.brand}>
          <Mark size={34} />
          {t("app.name")}
        </div>
        <div>
          <p className={css.tagline}>{t("app.tagline")}</p>
          <ul className={css.promises}>
            {PROMISES.map(([icon, title, text]) => (
              <li key={title}>
                <span><Icon name={icon} size={19} /></span>
                <b>{t(title)}</b>
                <small>{t(text)}</small>
              </li>
            ))}
          </ul>
        </div>
      </aside>
      <main className={css.form}>
        <div className={css.prefs}>
          <div><LanguageSwitch /></div>
          <div><ColorSwitch /></div>
        </div>
        <div className={css.box}>
          {byLink && (enter.isPending || enter.isSuccess) ? (
            <Stack align="center" gap="md" aria-live="polite">
              <Loader type="dots" />
              {t("signIn.working")}
            </Stack>
          ) : (
            <form onSubmit={submit}>
              <h1>{t("signIn.title")}</h1>
              <p>{t("signIn.lead")}</p>
              {enter.isError && (
                <Stack gap="xs" mb="lg">
                  <Problem error={enter.error} title={byLink ? t("signIn.linkFailed") : undefined} />
                  {byLink && (
                    <>
                      <small>{t("signIn.newLink")}</small>
                      <Code text="lepton up" />
                    </>
                  )}
                </Stack>
              )}
              <Stack gap="md">
                <TextInput label={t("word.name")} size="md" autoComplete="username" required withAsterisk={false} value={name} onChange={(event) => setName(event.currentTarget.value)} />
                <PasswordInput label={t("signIn.password")} size="md" autoComplete="current-password" required withAsterisk={false} value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
                <Button type="submit" size="md" mt={6} loading={enter.isPending}>{t("do.signIn")}</Button>
              </Stack>
            </form>
          )}
        </div>
      </main>
    </div>
  );
}
