/** One metric of several runs: a line each, with zoom by dragging and all values under the pointer. */
import { type KeyboardEvent, type PointerEvent, memo, useId, useMemo, useState } from "react";

import { compact, number } from "../format";
import { useSpeech } from "../i18n";
import css from "./curves.module.css";
import { heights, type Line, pathOf, type Range, readings, wholeRange } from "./lines";
import { inverse, linear, logarithmic, logTicks, ticks } from "./scale";
import { useWidth } from "./width";

const HEIGHT = 250;
const MARGIN = { left: 52, right: 14, top: 10, bottom: 26 };
const LEAST_DRAG_PX = 6;
const MOST_READ = 12;
/** Of more lines, each is thinner. */
const FEW = 6;

interface CurvesProps {
  label: string;
  lines: Line[];
  log: boolean;
  /** What is seen; null: all. */
  zoom: Range | null;
  onZoom: (range: Range | null) => void;
  /** The round places of the x axis, at most about so many. */
  ticksX: (range: Range, count: number) => number[];
  /** Writes a place on the x axis: short below it, or in full. */
  writeX: (x: number, full: boolean) => string;
}

interface Frame {
  x: (value: number) => number;
  y: (value: number) => number;
  range: Range;
  log: boolean;
}

/** Drawn anew when the data or the scales change, not when the pointer moves. */
const Paths = memo(function Paths({ lines, frame, clip }: { lines: Line[]; frame: Frame; clip: string }) {
  const { x, y, range, log } = frame;
  return (
    <g clipPath={`url(#${clip})`}>
      {lines.map((line) => {
        const stroke = { stroke: line.tone, strokeDasharray: line.dash || undefined, strokeWidth: lines.length > FEW ? 1.3 : undefined };
        const single = line.xs.length === 1 && line.ys[0] !== null;
        return (
          <g key={line.id} data-line={line.name}>
            {single && <circle cx={x(line.xs[0] ?? 0)} cy={y(line.ys[0] ?? 0)} r={4} fill={line.tone} />}
            {line.smooth && <path className={css.raw} data-raw style={stroke} d={pathOf(line.xs, line.ys, range, x, y, log)} />}
            <path className={css.line} style={stroke} d={pathOf(line.xs, line.smooth ?? line.ys, range, x, y, log)} />
          </g>
        );
      })}
    </g>
  );
});

export function Curves({ label, lines, log, zoom, onZoom, ticksX, writeX }: CurvesProps) {
  const { t, tag } = useSpeech();
  const clip = useId();
  const [ref, width] = useWidth(420);
  const [over, setOver] = useState<number | null>(null);
  const [drag, setDrag] = useState<Range | null>(null);
  const whole = useMemo(() => wholeRange(lines), [lines]);
  const [from, to] = zoom ?? whole;
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const frame = useMemo((): Frame => {
    const high = heights(lines, [from, to], log);
    const down: Range = [HEIGHT - MARGIN.bottom, MARGIN.top];
    return { x: linear([from, to], [left, right]), y: (log ? logarithmic : linear)(high, down), range: [from, to], log };
  }, [lines, from, to, log, left, right]);
  const yTicks = useMemo(() => (log ? logTicks : ticks)(heights(lines, [from, to], log), 5), [lines, from, to, log]);
  const back = inverse([from, to], [left, right]);

  const pixel = (event: PointerEvent<SVGSVGElement>) =>
    Math.min(Math.max(event.clientX - event.currentTarget.getBoundingClientRect().left, left), right);
  const press = (event: PointerEvent<SVGSVGElement>) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setDrag([pixel(event), pixel(event)]);
  };
  const move = (event: PointerEvent<SVGSVGElement>) => {
    const at = pixel(event);
    setOver(back(at));
    if (drag) setDrag([drag[0], at]);
  };
  const release = () => {
    if (drag && Math.abs(drag[1] - drag[0]) >= LEAST_DRAG_PX) onZoom([back(Math.min(...drag)), back(Math.max(...drag))]);
    setDrag(null);
  };
  const key = (event: KeyboardEvent) => {
    const step = (to - from) / 50;
    const middle = over ?? (from + to) / 2;
    const near = (share: number): Range => [middle - (middle - from) * share, middle + (to - middle) * share];
    const does: Record<string, () => void> = {
      ArrowLeft: () => setOver(Math.max(middle - step, from)),
      ArrowRight: () => setOver(Math.min(middle + step, to)),
      "+": () => onZoom(near(0.5)),
      "-": () => onZoom(zoom && [Math.max(near(2)[0], whole[0]), Math.min(near(2)[1], whole[1])]),
      "0": () => onZoom(null),
      Escape: () => (over === null ? onZoom(null) : setOver(null)),
    };
    const what = does[event.key];
    if (!what) return;
    event.preventDefault();
    what();
  };

  const read = over === null || drag ? [] : readings(lines, over, [from, to]);
  const mark = read.length ? frame.x(read.reduce((best, one) => (Math.abs(one.x - (over ?? 0)) < Math.abs(best - (over ?? 0)) ? one.x : best), read[0]?.x ?? 0)) : null;
  return (
    <div ref={ref} className={css.box}>
      <svg
        width={width} height={HEIGHT} role="img" aria-label={label} aria-keyshortcuts="ArrowLeft ArrowRight + - 0" tabIndex={0} className={css.picture} data-zoomed={zoom !== null}
        onPointerDown={press} onPointerMove={move} onPointerUp={release} onPointerLeave={() => !drag && setOver(null)} onPointerCancel={() => setDrag(null)}
        onDoubleClick={() => onZoom(null)} onKeyDown={key} onBlur={() => setOver(null)}
      >
        <clipPath id={clip}><rect x={left} y={MARGIN.top - 4} width={Math.max(right - left, 1)} height={HEIGHT - MARGIN.bottom - MARGIN.top + 8} /></clipPath>
        {yTicks.map((value) => (
          <g key={value}>
            <line className={css.grid} x1={left} x2={right} y1={frame.y(value)} y2={frame.y(value)} />
            <text className={css.axis} x={left - 8} y={frame.y(value) + 4} textAnchor="end">{compact(value, tag)}</text>
          </g>
        ))}
        {ticksX([from, to], Math.max(Math.min(width / 100, 7), 2)).map((value) => (
          <text key={value} className={css.axis} x={frame.x(value)} y={HEIGHT - 8} textAnchor="middle">{writeX(value, false)}</text>
        ))}
        <Paths lines={lines} frame={frame} clip={clip} />
        {mark !== null && <line className={css.cursor} x1={mark} x2={mark} y1={MARGIN.top} y2={HEIGHT - MARGIN.bottom} />}
        {read.filter(({ shown }) => !log || shown > 0).map(({ line, x, shown }) => (
          <circle key={line.id} cx={frame.x(x)} cy={frame.y(shown)} r={3.6} fill={line.tone} className={css.point} />
        ))}
        {drag && <rect className={css.drag} x={Math.min(...drag)} width={Math.abs(drag[1] - drag[0])} y={MARGIN.top} height={HEIGHT - MARGIN.bottom - MARGIN.top} />}
      </svg>
      {mark !== null && (
        <div className={css.tip} role="status" aria-label={t("compare.values")} style={mark > width / 2 ? { right: width - mark + 12 } : { left: mark + 12 }}>
          <b>{writeX(read[0]?.x ?? 0, true)}</b>
          <ul>
            {read.slice(0, MOST_READ).map(({ line, value, shown }) => (
              <li key={line.id}>
                <i style={{ background: line.tone }} />
                <span>{line.name}</span>
                <em>{number(shown, tag, 5)}{line.smooth && shown !== value && <small> ({number(value, tag, 4)})</small>}</em>
              </li>
            ))}
          </ul>
          {read.length > MOST_READ && <small>{t("compare.more", { n: read.length - MOST_READ })}</small>}
        </div>
      )}
    </div>
  );
}
