/** What the tests publish, and the names a follower must listen for. */

export const DEBATE_TYPES = [
  'connected', 'utterance', 'phase_transition', 'intervention_response', 'pause', 'resume', 'complete', 'error',
  'token', 'debate_started', 'gap', 'snapshot', 'busy',
];

export const CONVERSATION_TYPES = [
  'connection_established', 'conversation_started', 'conversation_utterance', 'conversation_token',
  'conversation_speaker_changed', 'conversation_context_updated', 'conversation_paused', 'conversation_resumed',
  'conversation_completed', 'conversation_error', 'gap', 'snapshot', 'busy',
];

/** What is said once to each connection, and so differs between two of them. */
const GREETINGS = new Set(['connected', 'connection_established', 'snapshot', 'gap', 'busy']);

export const isPublished = ({ type }) => !GREETINGS.has(type);

export const utterance = (number, content = `speech ${number}`) => ({
  type: 'utterance',
  data: { id: String(number), timestamp: Date.now(), phase: 'opening', speaker: number % 2 ? 'Pro Advocate' : 'Con Advocate', content },
});

export const phase = (name) => ({ type: 'phase_transition', data: { phase: name, timestamp: Date.now() } });

export const complete = { type: 'complete', data: {} };

/** The numbers of the utterances among these events, in the order in which they were seen. */
export const spoken = (events) => events.filter(({ type }) => type === 'utterance').map(({ data }) => Number(JSON.parse(data).id));

export const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
