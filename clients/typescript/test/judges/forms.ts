/** The members of documents that a client does not read, or that a gateway reads otherwise (ENV-19, ID-3). */

import * as form from '../../src/documents.js';
import { type Json, Malformed, raw64 } from '../../src/form.js';

/** The roles of a root: those that each one has, and those of approvals. */
export type Role = form.Role | 'catalog' | 'operator-ca';

export type Check<T> = (value: Json | undefined) => T;

/** A form, with what its members have to say together. */
export const where =
  <T>(check: Check<T>, ...rules: [holds: (value: T) => boolean, why: string][]): Check<T> =>
  (value) => {
    const read = check(value);
    for (const [holds, why] of rules) if (!holds(read)) throw new Malformed(why);
    return read;
  };

export const time = form.integer();
export const version = form.integer(1);
export const digest = where(form.text(43, 43), [(text) => raw64(text).length === 32, 'not a digest']);
export const tenant = form.text(1, 64, /^[a-z0-9][a-z0-9._-]*$/);
export const agent = form.text(1, 128, /^[A-Za-z0-9][A-Za-z0-9._-]*$/);
export const alias = form.text(1, 32, /^[a-z0-9][a-z0-9-]*$/);
export const mode = form.oneOf('session', 'subagent', 'turn');
/** Names in their order, each once. */
export const ascending = <T extends string>(item: Check<T>, low = 0, high = Infinity): Check<readonly T[]> =>
  where(form.list(item, low, high), [form.ascends, 'the entries do not ascend, each once']);

/** Whether things stand in the order of what names them, each once. */
export const inOrder = <T>(all: readonly T[], names: (one: T) => string[]): boolean =>
  form.ascends(all.map((one) => names(one).join('\0')));

export const keys = form.named(digest, form.has({ alg: form.oneOf('ed25519'), exp: time, nbf: time, pub: digest }), 1, 32);

const role = form.has({
  keyids: ascending(digest, 0, 32),
  threshold: form.integer(),
});

/** What ID-4, ID-5 and ID-7 say of roles, versions and `prev` is no matter of form. */
export type Root = ReturnType<typeof root>;
export const root = form.has(
  {
    endpoints: form.rootEndpoints,
    expires: time,
    issued: time,
    keys,
    min_proto: version,
    roles: form.has({}, { root: role, stream: role, request: role, status: role, policy: role, catalog: role, 'operator-ca': role }),
    v: form.one,
    version: form.integer(),
  },
  { prev: digest },
);

const STATUS_LIFE_MS_MAX = 86_400_000;
const lives = (value: { readonly issued: number; readonly expires: number }): number => value.expires - value.issued;

export type Status = ReturnType<typeof status>;
export const status = where(
  form.status,
  [(read) => inOrder(read.revoked, ({ kid }) => [kid]), 'the revocations do not ascend'],
  [(read) => lives(read) >= 1 && lives(read) <= STATUS_LIFE_MS_MAX, 'ID-17: the life is wrong'],
  [(read) => read.seq === read.issued, 'ID-17: the number is not the time of issue'],
  [(read) => read.refresh_ms >= 1 && read.refresh_ms <= lives(read), 'the refresh does not fit the life'],
  [(read) => read.incarnation.since <= read.issued, 'the incarnation begins after the status'],
);

const answered = { aud: form.gateway, iss: form.gateway, request: digest, root_version: version, t: time, v: form.one };

const cancelled = form.oneOf('requested', 'already_terminal');
const inspected = { accept: digest, deadline: time, head: digest, run: form.run, seq: form.integer() };
const outcome = form.oneOf('succeeded', 'failed', 'cancelled', 'expired', 'rejected', 'lost');

/** What an answer found, by the operation that it answers (REQ-31). */
const found: Check<unknown> = (value) => {
  const result = form.object(value);
  if ('pairing' in result) return form.has({ pairing: form.oneOf('pending', 'accepted') })(value);
  if (result.cancel === 'blocked') return form.has({ cancel: form.oneOf('blocked') })(value);
  if ('cancel' in result) return form.has({ cancel: cancelled, run: form.run })(value);
  if (result.state === 'terminal') return form.has({ ...inspected, outcome, state: form.oneOf('terminal') })(value);
  return form.has({ ...inspected, state: form.oneOf('running') })(value);
};

export const answer = form.has({ ...answered, result: found });

export const problem = form.has({
  ...answered,
  problem: form.has(
    {
      code: form.text(),
      retryable: form.oneOf(true, false),
      sideEffects: form.oneOf('none', 'possible', 'unknown'),
      status: form.integer(),
    },
    {
      detail: form.text(0, 512, /^[^\0-\x1f]*$/),
      have: form.integer(),
      retryAfterMs: form.integer(),
      retryMode: form.oneOf('resign_same_key', 'new_key', 'after_change'),
    },
  ),
});
