/** The icons of the pages: drawn here on a 24-pixel grid, in the colour of the text around them. */
import type { ReactNode, SVGProps } from "react";

const SHAPES = {
  datasets: (
    <>
      <ellipse cx="12" cy="5.5" rx="7.5" ry="2.75" />
      <path d="M4.5 5.5v13c0 1.5 3.4 2.75 7.5 2.75s7.5-1.25 7.5-2.75v-13" />
      <path d="M4.5 12c0 1.5 3.4 2.75 7.5 2.75s7.5-1.25 7.5-2.75" />
    </>
  ),
  labels: (
    <>
      <path d="M3.5 4.5v6.2c0 .8.3 1.5.9 2.1l7.3 7.3a2 2 0 0 0 2.8 0l5.6-5.6a2 2 0 0 0 0-2.8l-7.3-7.3a3 3 0 0 0-2.1-.9H4.5a1 1 0 0 0-1 1Z" />
      <circle cx="8" cy="8" r="1.4" />
    </>
  ),
  runs: (
    <>
      <circle cx="12" cy="12" r="9" />
      <path d="M10 8.6v6.8l5.4-3.4z" />
    </>
  ),
  models: (
    <>
      <path d="m12 2.8 8 4.6v9.2l-8 4.6-8-4.6V7.4z" />
      <path d="m4.2 7.5 7.8 4.5 7.8-4.5M12 12v9" />
    </>
  ),
  endpoints: (
    <>
      <circle cx="12" cy="12" r="2.2" />
      <path d="M7.8 16.2a6 6 0 0 1 0-8.4M16.2 7.8a6 6 0 0 1 0 8.4M5 19a10 10 0 0 1 0-14M19 5a10 10 0 0 1 0 14" />
    </>
  ),
  access: (
    <>
      <circle cx="8" cy="15.5" r="4.5" />
      <path d="m11.3 12.3 8.2-8.3M16 7.5l2.8 2.8M13.4 10.1l1.7 1.7" />
    </>
  ),
  compute: (
    <>
      <rect x="6.5" y="6.5" width="11" height="11" rx="2" />
      <path d="M10 3.5v3M14 3.5v3M10 17.5v3M14 17.5v3M3.5 10h3M3.5 14h3M17.5 10h3M17.5 14h3" />
    </>
  ),
  file: <path d="M13.5 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8.5zM13.5 3v5.5H19" />,
  upload: <path d="M12 15.5V4m-4.5 4.5L12 4l4.5 4.5M4 15.5V18a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2.5" />,
  download: <path d="M12 4v11.5M7.5 11l4.5 4.5 4.5-4.5M4 15.5V18a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2.5" />,
  trash: <path d="M4 6.5h16M9.5 6.5V4.5h5v2M6 6.5l.9 12.6a2 2 0 0 0 2 1.9h6.2a2 2 0 0 0 2-1.9L18 6.5M10 10.5v6M14 10.5v6" />,
  clean: <path d="m10.5 4 1.6 4.4L16.5 10l-4.4 1.6L10.5 16l-1.6-4.4L4.5 10l4.4-1.6zM18 14.5l.9 2.6 2.6.9-2.6.9-.9 2.6-.9-2.6-2.6-.9 2.6-.9z" />,
  train: <path d="M3.5 4v14.5a2 2 0 0 0 2 2H20.5M7 9c2.5 0 3 6.5 6 6.5s3-3 7-3" />,
  split: <path d="M3 12h6M9 12c4 0 3-6 8-6h3.5M9 12c4 0 3 6 8 6h3.5M18 3.5 20.5 6 18 8.5M18 15.5l2.5 2.5-2.5 2.5" />,
  deploy: <path d="M9 15c-2-.6-3.5-2-4-4l3-2c2-4 6-6.5 11.5-6 .5 5.5-2 9.5-6 11.5l-2 3c-1-.3-1.9-1.2-2.5-2.5ZM6.5 15.5c-1.8.8-2.5 2.5-2.5 4.5 2 0 3.7-.7 4.5-2.5M14.5 9.5h.01" />,
  evaluate: (
    <>
      <circle cx="12" cy="12" r="9" />
      <circle cx="12" cy="12" r="4.5" />
      <path d="M12 12h.01" />
    </>
  ),
  plus: <path d="M12 5v14M5 12h14" />,
  close: <path d="m6 6 12 12M18 6 6 18" />,
  check: <path d="m4.5 12.5 5 5 10-11" />,
  copy: <path d="M9 8.5h9.5a1 1 0 0 1 1 1V19.5a1 1 0 0 1-1 1H9a1 1 0 0 1-1-1V9.5a1 1 0 0 1 1-1ZM8 15.5H5.5a1 1 0 0 1-1-1V4.5a1 1 0 0 1 1-1H14.5a1 1 0 0 1 1 1v4" />,
  lock: <path d="M6.5 10.5h11a1.5 1.5 0 0 1 1.5 1.5v7a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 5 19v-7a1.5 1.5 0 0 1 1.5-1.5ZM8 10.5V7.5a4 4 0 0 1 8 0v3" />,
  road: <path d="M5 19.5h9a3.5 3.5 0 0 0 0-7H9.5a3.5 3.5 0 0 1 0-7H19M16.5 3 19 5.5 16.5 8M5 19.5h.01" />,
  home: <path d="M4 11.5 12 4l8 7.5M6 10v9.5h12V10M10 19.5v-5h4v5" />,
  up: <path d="m6 15 6-6 6 6" />,
  down: <path d="m6 9 6 6 6-6" />,
  right: <path d="m9 6 6 6-6 6" />,
  arrow: <path d="M4 12h15m-5.5-5.5L19 12l-5.5 5.5" />,
  sun: (
    <>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4" />
    </>
  ),
  moon: <path d="M20 14.2A8.5 8.5 0 0 1 9.8 4a8.5 8.5 0 1 0 10.2 10.2Z" />,
  auto: (
    <>
      <circle cx="12" cy="12" r="8.5" />
      <path d="M12 3.5v17a8.5 8.5 0 0 0 0-17Z" fill="currentColor" stroke="none" />
    </>
  ),
  language: <path d="M3.5 6h10M8.5 3.5V6M11 6c-.8 4-3.2 7-7 9M6 9.5c1.3 2.4 3 4 5.5 5M12.5 20.5 16.5 11l4 9.5M14 17.5h5" />,
  search: <path d="M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm4.7 11.2L20.5 20.5" />,
  alert: <path d="M12 3.8 2.8 19.5h18.4zM12 10v4.5M12 17h.01" />,
  retry: <path d="M4.5 12a7.5 7.5 0 0 1 13-5l2 2M19.5 4.5V9H15M19.5 12a7.5 7.5 0 0 1-13 5l-2-2M4.5 19.5V15H9" />,
  stop: <path d="M7.5 6h9A1.5 1.5 0 0 1 18 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 6 16.5v-9A1.5 1.5 0 0 1 7.5 6Z" />,
  out: <path d="M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M9.5 12H20m-4-4 4 4-4 4" />,
  menu: <path d="M4 7h16M4 12h16M4 17h16" />,
  link: <path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof SHAPES;

interface IconProps extends Omit<SVGProps<SVGSVGElement>, "name"> {
  name: IconName;
  size?: number;
}

export function Icon({ name, size = 18, ...rest }: IconProps) {
  return (
    <svg
      width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth={1.7} strokeLinecap="round"
      strokeLinejoin="round" aria-hidden="true" focusable="false" {...rest}
    >
      {SHAPES[name]}
    </svg>
  );
}

/** The mark: a particle on its orbit. */
export function Mark({ size = 30 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="9" fill="#0b3b38" />
      <ellipse cx="16" cy="16" rx="11" ry="4.6" transform="rotate(-32 16 16)" fill="none" stroke="#5fd6c5" strokeWidth="1.8" />
      <circle cx="16" cy="16" r="3.4" fill="#fff" />
      <circle cx="25.3" cy="10.2" r="2.3" fill="#ffb067" />
    </svg>
  );
}
