/** Straight lines between data and pixels, and the round numbers to write beside them. */

export function linear([d0, d1]: [number, number], [r0, r1]: [number, number]): (value: number) => number {
  const span = d1 - d0 || 1;
  return (value) => r0 + ((value - d0) / span) * (r1 - r0);
}

export function extent(values: readonly number[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : [low, high];
}

/** At most about `count` round values inside the domain (1, 2 or 5 times a power of ten apart). */
export function ticks([low, high]: [number, number], count: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Thin out a long series evenly, keeping both ends. */
export function thin<T>(values: readonly T[], most: number): T[] {
  if (values.length <= most) return [...values];
  return Array.from({ length: most }, (_, i) => values[Math.round((i * (values.length - 1)) / (most - 1))] as T);
}

/** From pixels back to data. */
export function inverse(domain: [number, number], range: [number, number]): (pixel: number) => number {
  return linear(range, domain);
}

/** Evenly in powers of ten; both ends are above zero. */
export function logarithmic([d0, d1]: [number, number], range: [number, number]): (value: number) => number {
  const scale = linear([Math.log10(d0), Math.log10(d1)], range);
  return (value) => scale(Math.log10(value));
}

/** Powers of ten inside the domain, and 2 and 5 times them where there are few; at most about `count`. */
export function logTicks([low, high]: [number, number], count: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const factors = last - first <= 2 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const all = powers.flatMap((power) => factors.map((factor) => Number((factor * 10 ** power).toPrecision(3))));
  const inside = all.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  const each = Math.ceil(inside.length / Math.max(count, 1));
  return inside.length < 2 ? ticks([low, high], count) : inside.filter((_, i) => i % each === 0);
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** Round times in seconds inside the domain, at most about `count`; `offset` is how far local midnight lies from a whole day. */
export function timeTicks([low, high]: [number, number], count: number, offset = 0): number[] {
  const rough = (high - low) / Math.max(count, 1);
  if (rough < 1) return ticks([low, high], count);
  const step = STEPS_S.find((one) => one >= rough) ?? Math.ceil(rough / 86_400) * 86_400;
  const first = Math.ceil((low - offset) / step);
  const last = Math.floor((high - offset) / step);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => (first + i) * step + offset);
}
