/** The pictures of a study: history, importance, slices and contour. */
import type { Dimension } from "../api/types";
import { compact, percent } from "../format";
import { useSpeech } from "../i18n";
import css from "./charts.module.css";
import { rampOf } from "./palette";
import { padded, path, Plane } from "./plane";
import { bestSoFar, type Ended, goodness, near, placeOf } from "./searched";
import { extent, linear } from "./scale";
import { useWidth } from "./width";

const CELLS = 28;
const MARGIN = { left: 60, right: 14, top: 10, bottom: 40 };

interface DrawnProps {
  trials: Ended[];
  maximize: boolean;
  goal: string;
  best: number | null;
}

function Dot({ trial, x, y, good, best }: { trial: Ended; x: number; y: number; good: number; best: boolean }) {
  const { t, tag } = useSpeech();
  return (
    <circle cx={x} cy={y} r={best ? 6 : 4} fill={rampOf(1 - good)} stroke={best ? "var(--text)" : "var(--surface)"} strokeWidth={1.5} data-trial={trial.number}>
      <title>{t("study.dot", { n: trial.number, value: compact(trial.value, tag) })}</title>
    </circle>
  );
}

export function History({ trials, maximize, goal, best }: DrawnProps) {
  const { t } = useSpeech();
  const values = trials.map(({ value }) => value);
  const numbers = trials.map(({ number }) => number);
  const share = goodness(values, maximize);
  return (
    <Plane label={t("study.history")} x={padded(extent(numbers))} y={padded(extent(values))} xTitle={t("study.trial")} yTitle={goal}>
      {(scales) => (
        <>
          <path className={css.line} d={path(numbers, bestSoFar(values, maximize), scales)} />
          {trials.map((trial) => <Dot key={trial.number} trial={trial} x={scales.x(trial.number)} y={scales.y(trial.value)} good={share(trial.value)} best={trial.number === best} />)}
        </>
      )}
    </Plane>
  );
}

export function Importance({ importance }: { importance: Record<string, number> }) {
  const { t, tag } = useSpeech();
  const [ref, width] = useWidth(420);
  const ranked = Object.entries(importance).sort(([, a], [, b]) => b - a);
  const most = ranked[0]?.[1] || 1;
  const left = Math.min(150, width / 3);
  return (
    <div ref={ref}>
      <svg width={width} height={ranked.length * 28 + 8} role="img" aria-label={t("study.importance")} style={{ display: "block" }}>
        {ranked.map(([name, share], i) => (
          <g key={name} transform={`translate(0 ${i * 28 + 6})`}>
            <text className={css.axisTitle} x={left - 10} y={15} textAnchor="end">{name}</text>
            <rect className={css.bar} x={left} width={Math.max((share / most) * (width - left - 56), 1)} height={20} rx={3} />
            <text className={css.axis} x={left + (share / most) * (width - left - 56) + 8} y={15}>{percent(share, tag)}</text>
          </g>
        ))}
      </svg>
    </div>
  );
}

/** What is written at both ends of a setting. */
function endsOf({ kind, low, high, choices }: Dimension, tag: string): [string, string] {
  return kind === "choice" ? [String(choices[0]), String(choices.at(-1))] : [compact(low ?? 0, tag), compact(high ?? 0, tag)];
}

export function Slice({ trials, maximize, goal, best, dimension }: DrawnProps & { dimension: Dimension }) {
  const { t, tag } = useSpeech();
  const [ref, width] = useWidth(280);
  const height = 220;
  const values = trials.map(({ value }) => value);
  const share = goodness(values, maximize);
  const x = linear([0, 1], [MARGIN.left, width - MARGIN.right]);
  const domain = padded(extent(values));
  const y = linear(domain, [height - MARGIN.bottom, MARGIN.top]);
  const [first, last] = endsOf(dimension, tag);
  return (
    <div ref={ref}>
      <svg width={width} height={height} role="img" aria-label={t("study.slice", { name: dimension.name })} style={{ display: "block" }}>
        {domain.map((value) => <text key={value} className={css.axis} x={MARGIN.left - 8} y={y(value) + 4} textAnchor="end">{compact(value, tag)}</text>)}
        <path className={css.guide} d={`M${MARGIN.left} ${MARGIN.top}V${height - MARGIN.bottom}H${width - MARGIN.right}`} />
        <text className={css.axis} x={MARGIN.left} y={height - MARGIN.bottom + 16}>{first}</text>
        <text className={css.axis} x={width - MARGIN.right} y={height - MARGIN.bottom + 16} textAnchor="end">{last}</text>
        <text className={css.axisTitle} x={(MARGIN.left + width) / 2} y={height - 6} textAnchor="middle">{dimension.name}</text>
        <text className={css.axisTitle} transform={`translate(11 ${height / 2}) rotate(-90)`} textAnchor="middle">{goal}</text>
        {trials.map((trial) => {
          const place = placeOf(dimension, trial.params[dimension.name]);
          return place === null ? null : <Dot key={trial.number} trial={trial} x={x(place)} y={y(trial.value)} good={share(trial.value)} best={trial.number === best} />;
        })}
      </svg>
    </div>
  );
}

export function Contour({ trials, maximize, best, across, up }: DrawnProps & { across: Dimension; up: Dimension }) {
  const { t, tag } = useSpeech();
  const [ref, width] = useWidth(420);
  const height = 360;
  const x = linear([0, 1], [MARGIN.left, width - MARGIN.right]);
  const y = linear([0, 1], [height - MARGIN.bottom, MARGIN.top]);
  const share = goodness(trials.map(({ value }) => value), maximize);
  const placed = trials.flatMap((trial) => {
    const [u, v] = [placeOf(across, trial.params[across.name]), placeOf(up, trial.params[up.name])];
    return u === null || v === null ? [] : [{ trial, x: u, y: v, value: trial.value }];
  });
  const [left, right] = endsOf(across, tag);
  const [bottom, top] = endsOf(up, tag);
  const [wide, tall] = [(x(1) - x(0)) / CELLS, (y(0) - y(1)) / CELLS];
  return (
    <div ref={ref}>
      <svg width={width} height={height} role="img" aria-label={`${t("study.contour")}: ${across.name}, ${up.name}`} style={{ display: "block" }}>
        {placed.length > 0 && Array.from({ length: CELLS * CELLS }, (_, i) => {
          const [u, v] = [((i % CELLS) + 0.5) / CELLS, (Math.floor(i / CELLS) + 0.5) / CELLS];
          return <rect key={i} x={x(u) - wide / 2} y={y(v) - tall / 2} width={wide + 0.5} height={tall + 0.5} fill={rampOf(1 - share(near(u, v, placed)))} fillOpacity={0.7} />;
        })}
        <text className={css.axis} x={MARGIN.left} y={height - MARGIN.bottom + 16}>{left}</text>
        <text className={css.axis} x={width - MARGIN.right} y={height - MARGIN.bottom + 16} textAnchor="end">{right}</text>
        <text className={css.axis} x={MARGIN.left - 8} y={height - MARGIN.bottom} textAnchor="end">{bottom}</text>
        <text className={css.axis} x={MARGIN.left - 8} y={MARGIN.top + 10} textAnchor="end">{top}</text>
        <text className={css.axisTitle} x={(MARGIN.left + width) / 2} y={height - 6} textAnchor="middle">{across.name}</text>
        <text className={css.axisTitle} transform={`translate(11 ${height / 2}) rotate(-90)`} textAnchor="middle">{up.name}</text>
        {placed.map((one) => <Dot key={one.trial.number} trial={one.trial} x={x(one.x)} y={y(one.y)} good={share(one.value)} best={one.trial.number === best} />)}
      </svg>
    </div>
  );
}
