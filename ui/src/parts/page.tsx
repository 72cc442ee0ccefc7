/** The frame of a page: heading, panels, tiles and facts. */
import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";

import { Icon, type IconName } from "../icons";
import css from "./parts.module.css";

interface PageProps {
  title: string;
  lead?: ReactNode;
  /** Where the page belongs: a link back to its list. */
  parent?: { to: string; label: string; icon: IconName };
  beside?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, lead, parent, beside, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Lepton`;
  }, [title]);
  return (
    <div className={`${css.page} enter`}>
      <header className={css.head}>
        <div className={css.headText}>
          {parent && (
            <nav className={css.crumbs} aria-label="Breadcrumb">
              <Icon name={parent.icon} size={15} style={{ color: `var(--noun-${parent.icon})` }} />
              <Link to={parent.to}>{parent.label}</Link>
            </nav>
          )}
          <div className={css.titleRow}>
            <h1 className={css.title}>{title}</h1>
            {beside}
          </div>
          {lead && <div className={css.lead}>{lead}</div>}
        </div>
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

interface PanelProps {
  title?: string;
  hint?: ReactNode;
  side?: ReactNode;
  flush?: boolean;
  children: ReactNode;
}

/** A surface with a heading; `flush` lets a table reach its edges. */
export function Panel({ title, hint, side, flush = false, children }: PanelProps) {
  return (
    <section className={css.panel} aria-label={title}>
      {title && (
        <div className={css.panelHead}>
          <div>
            <h2 className={css.panelTitle}>{title}</h2>
            {hint && <p className={css.panelHint}>{hint}</p>}
          </div>
          {side}
        </div>
      )}
      <div className={flush ? css.flush : css.panelBody} style={flush && !title ? { padding: 0 } : undefined}>
        {children}
      </div>
    </section>
  );
}

export interface Tile {
  label: string;
  value: ReactNode;
  note?: ReactNode;
}

export function Tiles({ tiles, label }: { tiles: Tile[]; label?: string }) {
  return (
    <div className={css.tiles} role="group" aria-label={label}>
      {tiles.map((tile) => (
        <div className={css.tile} key={tile.label}>
          <div className={css.tileLabel}>{tile.label}</div>
          <div className={css.tileValue}>{tile.value}</div>
          {tile.note && <div className={css.tileNote}>{tile.note}</div>}
        </div>
      ))}
    </div>
  );
}

/** Named values, one a line; those without a value are left out. */
export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className={css.facts}>
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function PageSkeleton() {
  return (
    <div className={css.page} aria-busy="true">
      <Skeleton height={30} width={240} mb={12} />
      <Skeleton height={14} width={360} mb={28} />
      <Skeleton height={84} radius="lg" mb={20} />
      <Skeleton height={320} radius="lg" />
    </div>
  );
}

export function RowsSkeleton({ count = 5 }: { count?: number }) {
  return (
    <div style={{ padding: 20 }} aria-busy="true">
      {Array.from({ length: count }, (_, i) => (
        <Skeleton key={i} height={16} my={14} width={`${92 - ((i * 17) % 40)}%`} />
      ))}
    </div>
  );
}
