/** A few of the requests that an endpoint has answered, the newest first; each opens to all that was kept of it. */
import { ActionIcon, Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";

import { endpointLogs } from "../api/queries";
import type { EndpointDetail, LoggedRequest } from "../api/types";
import { cell, latency, moment, number } from "../format";
import { useSpeech } from "../i18n";
import { Icon } from "../icons";
import { Panel, RowsSkeleton } from "../parts/page";
import parts from "../parts/parts.module.css";
import { Problem, RefChip, When } from "../parts/words";
import { useSession } from "../session";
import css from "./log.module.css";

/** Columns of a row that its line in the table shows. */
const PREVIEWED = 3;

/** What stands for a value that was never kept. */
function Masked() {
  const { t } = useSpeech();
  return <span className={parts.masked} role="img" aria-label="••••" title={t("log.masked")}>••••</span>;
}

function Answer({ one, target }: { one: LoggedRequest; target: string }) {
  const { tag } = useSpeech();
  return one.masked.includes(target) ? <Masked /> : <>{cell(one.answer, tag)}</>;
}

function Preview({ one, target }: { one: LoggedRequest; target: string }) {
  const { tag } = useSpeech();
  const masked = one.masked.filter((name) => name !== target).slice(0, 1);
  const open = Object.entries(one.row).slice(0, PREVIEWED);
  return (
    <>
      {open.map(([name, value]) => <span key={name}><i>{name}</i> {cell(value, tag)}</span>)}
      {masked.map((name) => <span key={name}><i>{name}</i> <Masked /></span>)}
    </>
  );
}

function Whole({ one, endpoint }: { one: LoggedRequest; endpoint: EndpointDetail }) {
  const { t, tag } = useSpeech();
  const { target, inputs } = endpoint.signature;
  const masked = one.masked.filter((name) => name !== target);
  const kept = Object.keys(one.row).length + masked.length;
  return (
    <div className={css.whole}>
      <p className={css.said}>
        {moment(one.at, tag)} · <span className="mono">{one.id}</span>
        {one.rows > 1 && <> · {t("log.firstOf", { n: one.rows })}</>}
        {kept < inputs.length && <> · {t("log.columnsOf", { n: kept, all: inputs.length })}</>}
      </p>
      <dl className={css.cells}>
        <div className={css.answer}><dt>{t("log.answer")} · {target}</dt><dd><Answer one={one} target={target} /></dd></div>
        {Object.entries(one.row).map(([name, value]) => <div key={name}><dt title={name}>{name}</dt><dd>{cell(value, tag)}</dd></div>)}
        {masked.map((name) => <div key={name}><dt title={name}>{name}</dt><dd><Masked /></dd></div>)}
      </dl>
    </div>
  );
}

function Row({ one, endpoint }: { one: LoggedRequest; endpoint: EndpointDetail }) {
  const { t, tag } = useSpeech();
  const [open, setOpen] = useState(false);
  const id = useId();
  const label = t("log.open", { time: moment(one.at, tag) });
  return (
    <>
      <tr>
        <td className={css.toggle}>
          <ActionIcon variant="subtle" color="gray" aria-label={label} title={label} aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}>
            <Icon name={open ? "up" : "down"} size={17} />
          </ActionIcon>
        </td>
        <td className={parts.quiet}><When time={one.at} /></td>
        <td><RefChip id={one.model} kind="model" /></td>
        <td className={parts.numeric}>{latency(one.seconds, tag)}</td>
        <td className={parts.numeric}>{number(one.rows, tag)}</td>
        <td className={css.answered}><Answer one={one} target={endpoint.signature.target} /></td>
        <td className={css.preview}><Preview one={one} target={endpoint.signature.target} /></td>
      </tr>
      {open && <tr id={id} className={css.opened}><td colSpan={7}><Whole one={one} endpoint={endpoint} /></td></tr>}
    </>
  );
}

function Nothing({ endpoint }: { endpoint: EndpointDetail }) {
  const { t } = useSpeech();
  const passes = endpoint.signature.task === "generation";
  return (
    <div className={css.nothing}>
      <b>{t("log.empty")}</b>
      <p>{passes ? t("log.emptyPassed") : t("log.emptyText", { setting: "LEPTON_REQUEST_LOG_ONE_IN" })}</p>
    </div>
  );
}

function Table({ items, endpoint }: { items: LoggedRequest[]; endpoint: EndpointDetail }) {
  const { t } = useSpeech();
  return (
    // A scrolling region has to be reachable by keyboard.
    <div className={`${parts.scroll} ${parts.bounded}`} tabIndex={0} role="region" aria-label={t("log.title")}>
      <table className={parts.table} aria-label={t("log.title")}>
        <thead>
          <tr>
            <th className={css.toggle} />
            <th>{t("log.at")}</th>
            <th>{t("word.model")}</th>
            <th className={parts.numeric}>{t("log.took")}</th>
            <th className={parts.numeric}>{t("word.rows")}</th>
            <th>{t("log.answer")}</th>
            <th className={css.preview}>{t("log.firstRow")}</th>
          </tr>
        </thead>
        <tbody>{items.map((one) => <Row key={one.id} one={one} endpoint={endpoint} />)}</tbody>
      </table>
    </div>
  );
}

export function RequestLog({ endpoint }: { endpoint: EndpointDetail }) {
  const { t } = useSpeech();
  const { me, may } = useSession();
  const allowed = may("endpoints.logs");
  const { data, error, refetch, isFetching } = useQuery({ ...endpointLogs(endpoint.name), enabled: allowed });
  if (!me) return null;
  if (!allowed) return <Panel title={t("log.title")}><p className={css.refused}><Icon name="lock" size={16} />{t("log.refused")}</p></Panel>;
  const again = <Button size="compact-sm" variant="subtle" color="gray" loading={isFetching} leftSection={<Icon name="retry" size={15} />} onClick={() => void refetch()}>{t("log.again")}</Button>;
  return (
    <Panel flush title={t("log.title")} hint={t("log.hint", { setting: "LEPTON_REQUEST_LOG_ONE_IN" })} side={again}>
      {error && <div className={css.failed}><Problem error={error} /></div>}
      {!data && !error && <RowsSkeleton count={3} />}
      {data && (data.items.length > 0 ? <Table items={data.items} endpoint={endpoint} /> : <Nothing endpoint={endpoint} />)}
    </Panel>
  );
}
