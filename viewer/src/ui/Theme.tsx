/** Light, dark, or as the system has it. Remembered where the browser lets us. */

import { useEffect, useState } from 'react';
import { Icon } from './Icon.tsx';

const THEMES = ['auto', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];
const KEY = 'clearside:theme';
const LABELS: Record<Theme, string> = { auto: 'as the system has it', light: 'light', dark: 'dark' };

function remembered(): Theme {
  try {
    const theme = localStorage.getItem(KEY);
    return THEMES.find((known) => known === theme) ?? 'auto';
  } catch {
    return 'auto'; // storage may be forbidden
  }
}

function apply(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

apply(remembered());

export function ThemeButton() {
  const [theme, setTheme] = useState(remembered);
  useEffect(() => {
    apply(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch { /* it holds for this page, then */ }
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  const label = `Colours: ${LABELS[theme]}. Change to: ${LABELS[next]}`;
  return <button type="button" className="icon-button" title={label} aria-label={label} onClick={() => setTheme(next)}><Icon name={theme} /></button>;
}
