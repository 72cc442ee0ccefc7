/** Smoothing a curve that may have points at uneven distances. */

/**
 * An exponential moving average without the pull of its beginning (the correction of Adam: Kingma and Ba, 2015, section 3).
 *
 * `weight` (0 to below 1) is what is kept of the average from one point to the next at their mean distance; over a longer way less is kept,
 * so that a thinned curve looks like the whole one. Of points that lie evenly it is the usual average. Missing values stay missing.
 */
export function smooth(xs: readonly number[], ys: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0 || xs.length < 3) return [...ys];
  const unit = ((xs.at(-1) ?? 0) - (xs[0] ?? 0)) / (xs.length - 1) || 1;
  let average = 0;
  let unseen = 1;
  let before: number | null = null;
  return ys.map((y, i) => {
    if (y === null) return null;
    const x = xs[i] ?? 0;
    const kept: number = weight ** (before === null ? 1 : Math.max(x - before, 0) / unit);
    before = x;
    average = kept * average + (1 - kept) * y;
    unseen *= kept;
    return unseen < 1 ? average / (1 - unseen) : y;
  });
}
