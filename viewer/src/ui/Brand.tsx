import { HOME_URL } from '../route.ts';

export const Brand = ({ short = false }: { short?: boolean }) => (
  <a className={short ? 'brand short' : 'brand'} href={HOME_URL} aria-label={short ? 'ClearSide: all streams' : undefined}>
    <span className="logo" aria-hidden="true" /><span className="brand-name">ClearSide</span>
  </a>
);
