/** What the bodies of operations, pairings and admissions have in common (`spec/request.md`). */

import { type Envelope, utf8 } from '../../src/form.js';
import { CLOCK_SKEW_MS_MAX, openedText, Refusal } from './standing.js';

const OPERATION_BYTES_MAX = 4_194_304;
const REQUEST_LIFE_MS_MAX = 300_000;
const HELD_MAX = 3;

export interface Operation {
  readonly roots: Envelope[];
  readonly status: Envelope;
  readonly request: Envelope;
  readonly held: Envelope[];
}

export const refusedBody = (clause: string, code: string, why: string): Refusal => new Refusal(clause, code, 'body', why);

/** Divides a body into what is around the envelopes, each of which leaves `{}` behind, and the texts of the envelopes. */
function divided(text: string): [around: string, envelopes: string[]] {
  const envelopes: string[] = [];
  let [around, from, depth] = ['', 0, 0];
  for (const { 0: mark, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/gs)) {
    if (mark === '{' && ++depth === 2) {
      around += text.slice(from, index);
      from = index;
    } else if (mark === '}' && --depth === 1) {
      envelopes.push(text.slice(from, index + 1));
      around += '{}';
      from = index + 1;
    }
  }
  return [around + text.slice(from), envelopes];
}

/** Takes a body apart (REQ-1, REQ-2); of its envelopes the form is judged, and not yet their kind. */
export function operation(text: string, rootsMax: number): Operation {
  if (utf8(text).length > OPERATION_BYTES_MAX) throw refusedBody('REQ-2', 'too_large', 'the body is too large');
  const [around, envelopes] = divided(text);
  const form = /^\{(?:"roots":\[(\{\}(?:,\{\})*)\],)?"status":\{\},"request":\{\}(?:,"held":\[(\{\}(?:,\{\})*)\])?\}$/.exec(around);
  if (form === null) throw refusedBody('REQ-1', 'malformed', 'the body has not the members of an operation');
  const [shown, held] = [form[1], form[2]].map((list) => (list === undefined ? 0 : list.split(',').length));
  if ((shown ?? 0) > rootsMax) throw refusedBody('REQ-2', 'too_large', 'the chain is too long');
  if ((held ?? 0) > HELD_MAX) throw refusedBody('REQ-2', 'too_large', 'more envelopes are held than one operation shows');
  const all = envelopes.map(openedText);
  const [status, request, ...rest] = all.splice(shown ?? 0);
  if (status === undefined || request === undefined) throw new Error('a body has a status and a request');
  return { roots: all, status, request, held: rest };
}

/** The `iss` of a payload that nothing verified yet, where it is a text and stands there once. It chooses keys, and nothing else (step 5). */
export function unverifiedIss(envelope: Envelope): string | undefined {
  const text = new TextDecoder().decode(envelope.payload);
  try {
    const iss: unknown = JSON.parse(text)?.iss;
    // The form of a status allows no text in which this could stand.
    return typeof iss === 'string' && text.split('"iss":').length === 2 ? iss : undefined;
  } catch {
    return undefined;
  }
}

/** The life of one attempt, and the receiver's clock. */
type Attempt = { readonly iat: number; readonly exp: number };

/** REQ-15. */
export const lives = ({ iat, exp }: Attempt): boolean => exp - iat >= 1 && exp - iat <= REQUEST_LIFE_MS_MAX;

/** REQ-14. */
export const isTimely = ({ iat, exp }: Attempt, now: number): boolean =>
  iat <= now + CLOCK_SKEW_MS_MAX && exp >= now - CLOCK_SKEW_MS_MAX;
