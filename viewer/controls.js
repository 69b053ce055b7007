/** Launch, pause, resume and stop: what a stream's state allows, and what the server says to it. */

import { announce, byId, element } from './dom.js';
import { send } from './stream.js';

const CONFIRM_MS = 4_000;
const OFFERED = {
  waiting: [['launch', 'Launch the sample']],
  live: [['pause', 'Pause'], ['stop', 'Stop']],
  paused: [['resume', 'Resume'], ['stop', 'Stop']],
};

export function drawControls(kind, id, status) {
  const offered = OFFERED[status] ?? [];
  byId('controls').hidden = offered.length === 0;
  byId('control-buttons').replaceChildren(...offered.map(([verb, label]) => controlButton(kind, id, verb, label, 'button quiet')));
  byId('control-answer').textContent = '';
}

export function controlButton(kind, id, verb, label, className) {
  const button = element('button', { type: 'button', className }, label);
  let asked = verb !== 'stop'; // stopping ends it for everyone and for good, so it asks once more
  button.onclick = async () => {
    if (!asked) {
      asked = true;
      button.textContent = 'Stop for everyone?';
      setTimeout(() => { asked = false; button.textContent = label; }, CONFIRM_MS);
      return;
    }
    button.disabled = true;
    const refused = await send(kind, id, verb);
    button.disabled = false;
    byId('control-answer').textContent = refused ?? '';
    if (refused) announce(refused);
  };
  return button;
}
