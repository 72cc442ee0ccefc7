/** Colors by which runs are told apart, also by who does not see red and green; the values for light and dark are in styles.css. */

const TONES = 8;
const DASHES = ["", "7 4", "2 3", "10 3 2 3"];

/** The color of a run by its place. */
export const toneOf = (place: number): string => `var(--run-${place % TONES})`;

/** The stroke of a run by its place: where colors begin anew, lines are dashed. */
export const dashOf = (place: number): string => DASHES[Math.floor(place / TONES) % DASHES.length] ?? "";

/** A color between low (0) and high (1): from blue to orange, which everybody tells apart. */
export function rampOf(share: number): string {
  const percent = Math.round(Math.min(Math.max(share, 0), 1) * 100);
  return `color-mix(in oklab, var(--ramp-high) ${percent}%, var(--ramp-low))`;
}
