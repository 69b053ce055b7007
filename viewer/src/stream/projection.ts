/**
 * Lays out for the page what `@clearside/sse-client` knows of a stream: its state as it is, and its
 * events as entries of a transcript. What the events mean is the client's business, not decided here.
 */

import type { ConversationState, DebateState, LiveTurn, StreamEvent } from './client.ts';
import type { Kind } from '../words.ts';
import { spelled } from '../words.ts';
import { cast, type Entry, type OpenSpeech, type StreamView, type Voice } from './view.ts';

type Fields = Readonly<Record<string, unknown>>;
type State = DebateState | ConversationState;

/** What tells a voice from others. No event of a conversation carries all three for certain. */
interface Who { id: string | null; slug: string | null; name: string | null; isHost: boolean }

/**
 * Remembers what it laid out, so that a frame costs what came since the last one, and so that entries
 * keep their identity.
 */
export class Projection {
  readonly #kind: Kind;
  #events: readonly StreamEvent[] = [];
  #entries: Entry[] = [];
  #people: Who[] = [];
  #voices: Voice[] = [];
  #phase: string | null = null;
  #proposition: string | null = null;
  #startedAt: number | null = null;
  #lastAt: number | null = null;
  #open: readonly OpenSpeech[] = [];
  #opened = 0;

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  view(state: State): StreamView {
    // Of a debate, nobody has checked these, nor the summary.
    for (const one of state.participants) {
      const { id, name, personaSlug, isHost } = one ?? {};
      this.#voice({ id: text(id), slug: text(personaSlug), name: text(name), isHost: isHost === true });
    }
    this.#takeIn(state.events);
    const open = this.#open = this.#growing(state.turns);
    const speaker = this.#speaker(state);
    return {
      kind: this.#kind, condition: state.stage, title: state.title, proposition: this.#proposition, phase: state.phase, speaker,
      voices: this.#voices, entries: this.#entries, open, summary: text(state.summary), turnCount: state.turnCount,
      followers: state.followers, startedAt: this.#startedAt, lastAt: this.#lastAt,
    };
  }

  #takeIn(events: readonly StreamEvent[]): void {
    const before = this.#events;
    if (events === before) return;
    const grown = before.length === 0 || (events.length >= before.length && events[0] === before[0] && events[before.length - 1] === before.at(-1));
    if (!grown) {
      // Some were taken back (a gap), or let go of: everything is laid out afresh, but voices keep their colours.
      this.#entries = [];
      this.#events = [];
      this.#phase = this.#startedAt = this.#lastAt = null;
    }
    const fresh = events.slice(this.#events.length);
    const entries = [...this.#entries];
    for (const event of fresh) {
      const entry = this.#entry(event, entries);
      if (entry) entries.push(entry);
    }
    this.#entries = entries;
    this.#events = events;
  }

  #entry({ type, data, id }: StreamEvent, entries: readonly Entry[]): Entry | null {
    const fields = isFields(data) ? data : {};
    const at = timeOf(fields);
    if (at !== null) {
      this.#startedAt ??= at;
      this.#lastAt = Math.max(this.#lastAt ?? at, at);
    }
    const key = id ?? `gap-${entries.length}`;
    switch (type.replace(/^conversation_/, '')) {
      case 'started':
      case 'debate_started':
        this.#proposition = text(fields.proposition) ?? this.#proposition;
        return null;
      case 'phase_transition': {
        const phase = text(fields.phase);
        if (phase === null || phase === this.#phase) return null;
        this.#phase = phase;
        return { kind: 'phase', key, phase, at };
      }
      case 'utterance': return this.#speech(fields, key, at, null);
      case 'intervention_response': return this.#speech(fields, key, at, text(fields.question) ?? '');
      case 'pause': case 'paused': return { kind: 'pause', key, at, text: reasonOf(fields) };
      case 'resume': case 'resumed': return { kind: 'resume', key, at, text: reasonOf(fields) };
      case 'complete': case 'completed': return { kind: 'complete', key, at, text: reasonOf(fields) };
      case 'error': return { kind: 'error', key, at, text: reasonOf(fields) };
      case 'gap': return { kind: 'gap', key, reason: text(fields.reason) ?? 'unknown', missed: number(fields.missed), atStart: entries.length === 0 };
      default: return null;
    }
  }

  /** The payload of an intervention's answer is the publisher's own; these are the names in use. */
  #speech(fields: Fields, key: string, at: number | null, question: string | null): Entry {
    const voice = this.#voice({
      id: null, slug: text(fields.personaSlug), isHost: fields.isHost === true,
      name: text(fields.speaker) ?? text(fields.speakerName) ?? (question === null ? null : 'Moderator'),
    });
    const words = text(fields.content) ?? text(fields.response) ?? text(fields.answer) ?? '';
    return { kind: 'speech', key, grewAs: this.#close(voice), voice, text: words, at, interjection: fields.interjection === true, interrupted: fields.interrupted === true, question };
  }

  /** A finished speech stays where it grew: nothing of it is drawn anew but what differs. @returns its key there */
  #close(voice: number): string | null {
    const grown = this.#open.find((speech) => speech.voice === voice);
    this.#open = this.#open.filter((speech) => speech !== grown);
    return grown?.key ?? null;
  }

  #growing(turns: readonly LiveTurn[]): OpenSpeech[] {
    return turns.map(({ speaker, participant, persona, segment: told, text: words }) => {
      const id = this.#kind === 'debate' ? null : text(participant);
      const voice = this.#voice({ id, slug: text(persona), name: text(speaker), isHost: false });
      const segment = told ?? '';
      const known = this.#open.find((speech) => speech.voice === voice && speech.segment === segment);
      return { key: known?.key ?? `open-${this.#opened += 1}`, voice, segment, text: words };
    });
  }

  #speaker({ speaker }: State): number | null {
    if (!speaker) return null;
    return typeof speaker === 'string' ? this.#voice({ id: null, slug: null, name: speaker, isHost: false })
      : this.#voice({ id: text(speaker.id), slug: text(speaker.personaSlug), name: text(speaker.name), isHost: false });
  }

  /** Finds a voice by the first thing that both tell (id, slug, name), or adds it; learns what it did not know. */
  #voice(who: Who): number {
    const index = this.#people.findIndex((known) => {
      if (who.id !== null && known.id !== null) return known.id === who.id;
      if (who.slug !== null && known.slug !== null) return known.slug === who.slug;
      return who.name === known.name;
    });
    const known = this.#people[index];
    const learnt = known ? {
      id: known.id ?? who.id, slug: known.slug ?? who.slug, name: known.name ?? who.name, isHost: known.isHost || who.isHost,
    } : who;
    if (known && (Object.keys(learnt) as (keyof Who)[]).every((key) => learnt[key] === known[key])) return index;
    this.#people = known ? this.#people.with(index, learnt) : [...this.#people, learnt];
    this.#voices = cast(this.#kind, this.#people.map(({ id, slug, name, isHost }) => ({ name: name ?? spelled(slug ?? id ?? 'Unnamed speaker'), isHost })));
    return known ? index : this.#people.length - 1;
  }
}

/** Milliseconds since the epoch from a number or an ISO date; anything before 2001 is no wall-clock time. */
function timeOf({ timestamp }: Fields): number | null {
  const at = typeof timestamp === 'string' ? Date.parse(timestamp) : timestamp;
  return typeof at === 'number' && Number.isFinite(at) && at > 1e12 ? at : null;
}

const reasonOf = ({ message, error, reason }: Fields) =>
  text(message) ?? (isFields(error) ? text(error.message) : text(error)) ?? text(reason);

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null);
const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
