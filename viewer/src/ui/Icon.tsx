/** The few signs that buttons carry; each stands beside its word, or has a label. */

const SHAPES = {
  pause: <path d="M5 3v10M11 3v10" />,
  play: <path d="M5 2.8v10.4L13.2 8z" fill="currentColor" />,
  stop: <rect x="3.5" y="3.5" width="9" height="9" fill="currentColor" />,
  down: <path d="M8 2.5v10M3.8 8.6 8 12.8l4.2-4.2" />,
  light: <><circle cx="8" cy="8" r="3" /><path d="M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13" /></>,
  dark: <path d="M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1z" />,
  auto: <><circle cx="8" cy="8" r="5.8" /><path d="M8 2.2a5.8 5.8 0 0 1 0 11.6z" fill="currentColor" /></>,
  list: <path d="M2.5 4h11M2.5 8h11M2.5 12h7" />,
  close: <path d="m3.5 3.5 9 9M12.5 3.5l-9 9" />,
  plus: <path d="M8 3v10M3 8h10" />,
  arrow: <path d="M3 8h9.5M8.8 4.2 12.6 8l-3.8 3.8" />,
} as const;

export type IconName = keyof typeof SHAPES;

export const Icon = ({ name }: { name: IconName }) => (
  <svg className="icon" viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
    {SHAPES[name]}
  </svg>
);
