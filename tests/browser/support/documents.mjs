/** Reads the project's own documents, so that what they show is what is run. */

import { readFileSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../../..');

export const read = (file) => readFileSync(path.join(ROOT, file), 'utf8');

/** The fenced blocks of one language, in order. */
export function blocks(markdown, language) {
  return [...markdown.matchAll(/^```(\S*)\n([\s\S]*?)^```$/gm)].filter(([, name]) => name === language).map(([, , code]) => code);
}
