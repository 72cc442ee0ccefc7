/** The frame around every page: the nouns on the left, the account below them. */
import { ActionIcon, Menu, Select, UnstyledButton } from "@mantine/core";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { request } from "../api/request";
import { useSpeech } from "../i18n";
import { Icon, Mark } from "../icons";
import { SessionProvider, useSession } from "../session";
import { ColorSwitch, LanguageSwitch } from "./preferences";
import css from "./shell.module.css";

const NOUNS = ["datasets", "labels", "runs", "models", "endpoints"] as const;

function Account() {
  const { t, say } = useSpeech();
  const { me, project } = useSession();
  const name = me?.user.name ?? "";
  const role = me?.projects.find((one) => one.name === project)?.role;
  const signOut = async () => {
    await request("POST", "/sign-out").catch(() => undefined);
    // A full load, so that nothing of this person stays in memory.
    window.location.assign("/sign-in");
  };
  return (
    <Menu position="top-start" width={236} shadow="lg" closeOnItemClick={false}>
      <Menu.Target>
        <UnstyledButton className={css.account} aria-label={t("pref.account")}>
          <span className={css.avatar} aria-hidden="true">{name.slice(0, 1)}</span>
          <span className={css.who}>
            <b>{name}</b>
            {role && <small>{say("access.role", role)}</small>}
          </span>
          <Icon name="up" size={15} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown p={8}>
        <Menu.Label>{t("pref.language")}</Menu.Label>
        <LanguageSwitch />
        <Menu.Label mt={6}>{t("pref.colors")}</Menu.Label>
        <ColorSwitch />
        <Menu.Divider my={8} />
        <Menu.Item leftSection={<Icon name="out" size={16} />} onClick={() => void signOut()}>
          {t("do.signOut")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Projects() {
  const { t } = useSpeech();
  const { me, project, chooseProject } = useSession();
  if (!me || me.projects.length < 2) return null;
  return (
    <Select
      size="xs" mb={10} mx={4} aria-label={t("nav.project")} allowDeselect={false} value={project}
      data={me.projects.map(({ name }) => name)} onChange={(name) => name && chooseProject(name)}
    />
  );
}

/** Every page but the one for signing in. */
export function Shell() {
  return (
    <SessionProvider>
      <Frame />
    </SessionProvider>
  );
}

function Frame() {
  const { t } = useSpeech();
  const { may } = useSession();
  const [open, setOpen] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => setOpen(false), [path]);
  useEffect(() => {
    const close = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    window.addEventListener("keydown", close);
    return () => window.removeEventListener("keydown", close);
  }, []);

  return (
    <div className={css.layout}>
      <a className="skip" href="#content">{t("app.skip")}</a>
      <div className={css.bar}>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("app.menu")} aria-expanded={open} onClick={() => setOpen(!open)}>
          <Icon name="menu" size={22} />
        </ActionIcon>
        <Mark size={26} />
        {t("app.name")}
      </div>
      <button className={css.shade} data-open={open} aria-label={t("do.close")} tabIndex={-1} onClick={() => setOpen(false)} />
      <div className={css.side} data-open={open}>
        <Link to="/datasets" className={css.brand}>
          <Mark />
          {t("app.name")}
        </Link>
        <Projects />
        <nav aria-label={t("app.navigation")}>
          {NOUNS.map((noun) => (
            <Link key={noun} to={`/${noun}`} className={css.item} style={{ "--tone": `var(--noun-${noun})` } as React.CSSProperties}>
              <Icon name={noun} />
              {t(`nav.${noun}`)}
            </Link>
          ))}
          <div className={css.gap} />
          {may("runs.queue") && (
            <Link to="/compute" className={css.item} style={{ "--tone": "var(--text)" } as React.CSSProperties}>
              <Icon name="compute" />
              {t("nav.compute")}
            </Link>
          )}
          {(may("users.list") || may("tokens.list")) && (
            <>
              <Link to="/access" className={css.item} style={{ "--tone": "var(--text)" } as React.CSSProperties}>
                <Icon name="access" />
                {t("nav.access")}
              </Link>
            </>
          )}
        </nav>
        <div className={css.fill} />
        <Account />
      </div>
      <main id="content" tabIndex={-1} style={{ outline: "none", minWidth: 0 }}>
        <Outlet />
      </main>
    </div>
  );
}
