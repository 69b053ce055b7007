/** An EventSource that is told what it hears, so that nothing but the page's own work is seen. */

/** Puts it in the place of the page's own. Takes effect when the page is loaded. @param {import('playwright-core').Page} page */
export const feedPage = (page) => page.addInitScript(() => {
  class Fed extends EventTarget {
    readyState = 1;
    constructor() { super(); window.fed = this; }
    close() {}
    emit(type, data, lastEventId = '') { this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId })); }
  }
  window.EventSource = Fed;

  /** So many tokens a millisecond, for so long; a new speech each second, and in the end all are finished. */
  window.speak = (perMs, ms, tokens) => new Promise((done) => {
    const began = performance.now();
    let sent = 0;
    let speeches = 0;
    let said = '';
    const speaker = () => (speeches % 2 ? 'Con Advocate' : 'Pro Advocate');
    const finish = () => {
      const content = said;
      const by = speaker();
      speeches += 1;
      said = '';
      window.fed.emit('utterance', { id: String(speeches), timestamp: 1_790_000_000_000 + speeches, phase: 'Opening', speaker: by, content }, `abcdefgh-${speeches}`);
    };
    const timer = setInterval(() => {
      const now = performance.now() - began;
      for (const due = Math.min(ms, now) * perMs; sent < due; sent += 1) {
        const token = tokens[sent % tokens.length];
        said += token;
        window.fed.emit('token', { speaker: speaker(), token });
      }
      if (now < ms) {
        if (now >= (speeches + 1) * 1_000) finish();
        return;
      }
      clearInterval(timer);
      finish();
      done({ speeches, ms: now });
    }, 4);
  });
});

/** A debate that has just begun. */
export async function beginFed(page) {
  await page.waitForFunction(() => window.fed !== undefined);
  await page.evaluate(() => {
    window.fed.emit('connected', { clientId: 'c' });
    window.fed.emit('snapshot', { status: 'live', title: 'Fast?', phase: 'Opening', speaker: null, turnCount: 0, summary: null, open: [], subscribers: 1 }, 'abcdefgh-0');
  });
}

/** Words as agents speak them: paragraphs of eighty, some of them stressed. */
export const PROSE = Array.from({ length: 80 }, (_, index) => (index === 79 ? 'end.\n\n' : ['some ', 'words ', 'of ', 'a ', '*speech* ', 'that ', 'goes ', 'on '][index % 8]));
/** Nowhere to break off: one paragraph. */
export const PARAGRAPH = ['ab '];
