/** What the documents of a transcript may hold: members, types, names and limits (ENV-19, ID-3). */

import { type Json, Malformed, raw64, utf8 } from './form.js';

type Check<T> = (value: Json | undefined) => T;
type Shape = { readonly [name: string]: Check<unknown> };
type Of<S extends Shape> = { readonly [K in keyof S]: ReturnType<S[K]> };
type Maybe<S extends Shape> = { readonly [K in keyof S]?: ReturnType<S[K]> };

export const integer =
  (low = 0): Check<number> =>
  (value) => {
    if (typeof value !== 'number' || value < low) throw new Malformed('not an integer of this member');
    return value;
  };

export const text =
  (low = 0, high = Infinity, alphabet?: RegExp): Check<string> =>
  (value) => {
    if (typeof value !== 'string') throw new Malformed('not a text');
    const length = utf8(value).length;
    if (length < low || length > high) throw new Malformed('not a text of this length');
    if (alphabet !== undefined && !alphabet.test(value)) throw new Malformed('a character that the name may not have');
    return value;
  };

export const oneOf =
  <T extends string | number | boolean>(...values: T[]): Check<T> =>
  (value) => {
    const found = values.find((one) => one === value);
    if (found === undefined) throw new Malformed(`not one of ${values.join(', ')}`);
    return found;
  };

export const list =
  <T>(item: Check<T>, low = 0, high = Infinity): Check<readonly T[]> =>
  (value) => {
    if (!Array.isArray(value) || value.length < low || value.length > high) throw new Malformed('not such a list');
    return value.map((one) => item(one));
  };

export const ascends = (values: readonly string[]): boolean =>
  values.every((one, at) => at === 0 || (values[at - 1] ?? '') < one);

const ascending =
  (item: Check<string>, low: number, high: number): Check<readonly string[]> =>
  (value) => {
    const values = list(item, low, high)(value);
    if (!ascends(values)) throw new Malformed('not ascending');
    return values;
  };

export const isRecord = (value: Json | undefined): value is { [name: string]: Json } =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

export const has =
  <R extends Shape, O extends Shape = Record<never, never>>(required: R, optional?: O): Check<Of<R> & Maybe<O>> =>
  (value) => {
    if (!isRecord(value)) throw new Malformed('not an object');
    for (const name of Object.keys(required)) {
      if (!Object.hasOwn(value, name)) throw new Malformed(`${name} is missing`);
    }
    const result: Record<string, unknown> = {};
    for (const [name, one] of Object.entries(value)) {
      const member = Object.hasOwn(required, name) ? required[name] : optional && Object.hasOwn(optional, name) ? optional[name] : undefined;
      if (member === undefined) throw new Malformed(`${name} is not defined here`);
      result[name] = member(one);
    }
    return result as Of<R> & Maybe<O>;
  };

export const named =
  <T>(name: Check<string>, item: Check<T>, low = 0, high = Infinity): Check<ReadonlyMap<string, T>> =>
  (value) => {
    if (!isRecord(value)) throw new Malformed('not an object');
    const entries = Object.entries(value);
    if (entries.length < low || entries.length > high) throw new Malformed('not an object of this size');
    return new Map(entries.map(([key, one]) => [name(key), item(one)]));
  };

export const anything: Check<Json> = (value) => value ?? null;
export const object: Check<{ [name: string]: Json }> = (value) => {
  if (!isRecord(value)) throw new Malformed('not an object');
  return value;
};
const bytes32: Check<string> = (value) => {
  if (typeof value !== 'string' || raw64(value).length !== 32) throw new Malformed('not 32 bytes');
  return value;
};

export const one = oneOf(1);
const time = integer();
const version = integer(1);
const anyText = text();
export const gateway = text(56, 56, /^gw1-[a-z2-7]{52}$/);
export const run = text(30, 30, /^run-[a-z2-7]{26}$/);
const tenantName = text(1, 64, /^[a-z0-9][a-z0-9._-]*$/);
const tenant = has({ dst: tenantName, src: tenantName });
const agent = text(1, 128, /^[A-Za-z0-9][A-Za-z0-9._-]*$/);
const visible = /^[\x21-\x7e]*$/;
const key = text(16, 128, visible);
const seen = has({ n: integer(), seq: integer() });
const role = has({ keyids: ascending(bytes32, 1, 32), threshold: integer() });

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const ORIGIN = new RegExp(`^https://(?:${LABEL}(?:\\.${LABEL})*|(\\[[0-9a-f:.]+\\]))(?::([1-9][0-9]{0,4}))?$`);

/** An address that maps one of IPv4, of which libraries write the end in two ways. */
const MAPPED = /^\[::ffff:[0-9a-f]+:[0-9a-f]+\]$/;

/** An `https` origin: scheme, host, port, nothing else. An IPv6 address stands in its shortest form, as URLs are written. */
const origin: Check<string> = (value) => {
  const url = text(9, 256)(value);
  const [, six, port] = ORIGIN.exec(url) ?? [url, '', ''];
  if (six === '' || Number(port ?? 1) > 65_535) throw new Malformed('not an https origin');
  if (six !== undefined && (hostOf(url) !== six || MAPPED.test(six))) throw new Malformed('an address in another than its shortest form');
  return url;
};

function hostOf(url: string): string | undefined {
  try {
    return new URL(url).hostname;
  } catch {
    return undefined;
  }
}

export const endpoint = has({ url: origin }, { tls_spki: bytes32 });
export const rootEndpoints: Check<readonly ReturnType<typeof endpoint>[]> = (value) => {
  const endpoints = list(endpoint, 0, 8)(value);
  if (new Set(endpoints.map(({ url }) => url)).size !== endpoints.length) throw new Malformed('an endpoint stands twice');
  return endpoints;
};

export type Role = 'root' | 'stream' | 'request' | 'status' | 'policy';
export type Root = ReturnType<typeof root>;
export const root = has(
  {
    endpoints: rootEndpoints,
    expires: time,
    issued: time,
    keys: named(bytes32, has({ alg: oneOf('ed25519'), exp: time, nbf: time, pub: bytes32 }), 1, 32),
    min_proto: version,
    roles: has({ root: role, stream: role, request: role, status: role, policy: role }, { catalog: role, 'operator-ca': role }),
    v: one,
    version,
  },
  { prev: bytes32 },
);

export type Status = ReturnType<typeof status>;
export const status = has({
  audit: has({ head: bytes32, size: integer() }),
  expires: time,
  incarnation: has({ n: version, since: time }),
  iss: gateway,
  issued: time,
  refresh_ms: integer(),
  revoked: list(has({ kid: bytes32, reason: oneOf('compromised', 'retired', 'superseded'), since: time }), 0, 256),
  root: bytes32,
  root_version: version,
  seq: integer(),
  v: one,
});

export const request = has(
  {
    aud: gateway,
    body: anything,
    exp: time,
    iat: time,
    iss: gateway,
    jti: text(22, 64, /^[A-Za-z0-9_-]*$/),
    op: oneOf('start', 'attach', 'cancel', 'inspect', 'catalog'),
    proto: list(version, 1),
    seen,
    tenant,
    v: one,
  },
  { traceparent: text(0, 55) },
);

const claim = text(0, 256);
/** What a start asks. `approvalGrant` and `approvalRequest` are taken as they are: their form is not this file's. */
export const start = has(
  {
    agentTarget: has({ agent, mode: oneOf('session', 'turn', 'subagent') }, { session: text(1, 128, visible) }),
    callerIdentity: has(
      { principal: text(1, 256) },
      { labels: named(text(1, 63, /^[A-Za-z0-9._/-]*$/), claim, 1, 32), step: claim, workflow: claim },
    ),
    idempotencyKey: key,
    invokedAt: time,
  },
  {
    approvalGrant: anything,
    approvalRequest: anything,
    deadline: time,
    limits: named(oneOf('bytes', 'costMicroUsd', 'frames', 'tokens'), integer(1), 1),
    prompt: anyText,
    remoteRunId: claim,
    toolCall: has({ args: text(0, 262_144), tool: text(1, 128, visible) }),
  },
);

export const accept = has({
  aud: gateway,
  deadline: time,
  iss: gateway,
  key,
  print: bytes32,
  proto: version,
  root_version: version,
  run,
  seen,
  tenant,
  v: one,
});

export const seal = has({
  accept: bytes32,
  final: oneOf(true, false),
  head: bytes32,
  root_version: version,
  run,
  seq: integer(),
  t: time,
  v: one,
});

const effects = oneOf('none', 'possible', 'unknown');
export const receipt = has(
  { aud: gateway, iss: gateway, key, root_version: version, seq: integer(), t: time, v: one },
  { accept: bytes32, head: bytes32, lost: has({ code: text(1), side_effects: effects }), run },
);

const usage = has(
  { input: integer(), output: integer(), cacheRead: integer(), cacheWrite: integer(), total: integer() },
  { costMicroUsd: integer(), model: anyText },
);
const problem = has(
  { code: text(1), retryable: oneOf(true, false), sideEffects: effects, status: integer() },
  {
    detail: text(0, 512),
    have: integer(),
    retryAfterMs: integer(),
    retryMode: oneOf('resign_same_key', 'new_key', 'after_change'),
  },
);
const said = {
  by: oneOf('executor', 'caller'),
  outcome: oneOf('succeeded', 'failed', 'cancelled', 'expired', 'rejected', 'lost'),
  sideEffects: effects,
};
const saidToo = { digest: bytes32, problem, result: anyText, size: integer(), usage };

/** What a terminal has to say; what else it says is its executor's, and sealed like the rest. */
export function terminal(payload: { [name: string]: Json }): { outcome: string } {
  const known = Object.entries(payload).filter(([name]) => Object.hasOwn(said, name) || Object.hasOwn(saidToo, name));
  return has(said, saidToo)(Object.fromEntries(known));
}
