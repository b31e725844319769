/** What a gateway knows of another one: its roots and its newest status, with a clock and a memory (`spec/identity.md`). */

import * as form from '../../src/documents.js';
import * as ed25519 from '../../src/ed25519.js';
import { type Bytes, Envelope, gatewayId, type Json, keyId, Malformed, raw64, read, Refused, text64, utf8, write } from '../../src/form.js';
import { type Root, root as rootForm, type Role, type Status, status as statusForm } from './forms.js';

export const CLOCK_SKEW_MS_MAX = 60_000;
const ENVELOPE_BYTES_MAX = 1_406_296;
const REQUEST_BYTES_MAX = 1_048_576;
const DOCUMENT_BYTES_MAX = 65_536;
const ROOT_LIFE_MS_MAX = 34_560_000_000;
export const ROOT_STEPS_MAX = 32;
const REVOCATIONS_KEPT_MAX = 4096;
const CREDENTIAL_LIFE_MS_MAX = 86_400_000;

/** Why something does not hold: the clause that says so, the code that it gives, if any, and where the fault was noticed. */
export class Refusal extends Error {
  constructor(
    readonly clause: string,
    readonly code: string | null,
    readonly phase: string,
    why: string,
    readonly verdict = 'refused',
  ) {
    super(`${clause}: ${why}`);
  }
}

/** Reads something, and tells in which phase it had not its form. */
export function formed<T>(phase: string, reads: () => T, clause = 'ENV-19', code = 'malformed'): T {
  try {
    return reads();
  } catch (fault) {
    if (fault instanceof Malformed) throw new Refusal(clause, code, phase, fault.message);
    throw fault;
  }
}

/** Notices a fault of what comes with something else in one phase, whatever of it does not hold. */
export async function within<T>(phase: string, judged: Promise<T>): Promise<T> {
  try {
    return await judged;
  } catch (fault) {
    if (fault instanceof Refusal) throw new Refusal(fault.clause, fault.code, phase, fault.message);
    throw fault;
  }
}

/** ENV-7: whether an envelope or its payload is larger than it may be, before anything of it is decoded. */
function tooLarge(value: Json): boolean {
  if (!form.isRecord(value) || typeof value.payload !== 'string') return false;
  const { payload } = value;
  const size = (payload.length / 4) * 3 - (/=*$/.exec(payload)?.[0].length ?? 0);
  const isRequest = value.payloadType === 'application/vnd.gfp.request.v1+json';
  return size > (isRequest ? REQUEST_BYTES_MAX : DOCUMENT_BYTES_MAX) || write(value).length > ENVELOPE_BYTES_MAX;
}

/** Takes an envelope that was read as a JSON value (ENV-3 to ENV-7), or was taken before. */
export function opened(value: Json | Envelope): Envelope {
  if (value instanceof Envelope) return value;
  if (tooLarge(value)) throw new Refusal('ENV-7', 'too_large', 'envelope', 'the envelope or its payload is too large');
  return formed('envelope', () => Envelope.of(value), 'ENV-2');
}

/** Takes an envelope from its bytes (ENV-2). */
export function openedText(text: string): Envelope {
  const bytes = utf8(text);
  if (bytes.length > ENVELOPE_BYTES_MAX) throw new Refusal('ENV-7', 'too_large', 'envelope', 'the envelope is too large');
  return opened(formed('envelope', () => read(bytes), 'ENV-2'));
}

/** ENV-8. */
export function expect(envelope: Envelope, kind: string): Envelope {
  if (envelope.kind !== kind)
    throw new Refusal('ENV-8', 'verification_failed', 'envelope', `a ${envelope.kind} in the place of a ${kind}`);
  return envelope;
}

/** An envelope, as it is read or already opened. */
export type Given = Json | Envelope;
type Keys = ReadonlyMap<string, Bytes>;

/** The keys that are good at a time (ENV-13). */
export const goodAt = (keys: Root['keys'], at: number): Keys =>
  new Map([...keys].filter(([, { nbf, exp }]) => nbf <= at && at < exp).map(([kid, { pub }]) => [kid, raw64(pub)]));

/** The keys of a role that are good at a time. */
function keysAt(root: Root, role: Role, at: number): Keys {
  const listed = root.roles[role]?.keyids ?? [];
  return new Map([...goodAt(root.keys, at)].filter(([kid]) => listed.includes(kid)));
}

/** Verifies each signature of an envelope under keys that may sign it now (ENV-9 to ENV-13). */
export async function signedBy(envelope: Envelope, keys: Keys, threshold: number): Promise<void> {
  try {
    await envelope.verify(keys, threshold);
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    const stranger = envelope.signatures.some(([kid]) => !keys.has(kid));
    const tooFew = envelope.signatures.length < threshold;
    throw new Refusal(stranger ? 'ENV-9' : tooFew ? 'ENV-11' : 'ENV-10', 'verification_failed', 'signature', fault.message);
  }
}

interface Accepted {
  readonly status: Status;
  readonly digest: string;
  /** The version of the newest root when it was accepted, whose keys verified it. */
  readonly under: number;
}

/** A gateway as another one knows it. */
export class Gateway {
  readonly roots: { readonly root: Root; readonly digest: Bytes }[] = [];
  /** The keys that it revoked, and when that was learnt. */
  revoked: ReadonlyMap<string, number> = new Map();
  readonly #statuses: Accepted[] = [];

  constructor(
    readonly gid: string,
    readonly minRootVersion = 0,
  ) {}

  /** A gateway whose roots are known from the first on. */
  static async known(roots: Given[], now: number, gid?: string, minRootVersion = 0): Promise<Gateway> {
    const first = gid ?? gatewayId(await opened(roots[0] ?? null).digest());
    const gateway = new Gateway(first, minRootVersion);
    await gateway.walk(roots, now);
    return gateway;
  }

  get newest(): { readonly root: Root; readonly digest: Bytes } {
    const newest = this.roots.at(-1);
    if (newest === undefined) throw refusedRoot('ID-4', 'the first root is missing');
    return newest;
  }

  /** The newest status that was accepted. */
  get status(): Status | undefined {
    return this.#statuses.at(-1)?.status;
  }

  /** Walks an update of roots (ID-10). */
  async update(roots: Given[], now: number): Promise<void> {
    const next = await this.#next(roots);
    const steps = next.length - (this.roots.length === 0 ? 1 : 0);
    if (steps > ROOT_STEPS_MAX) throw new Refusal('ID-10', 'too_large', 'root', 'more roots than one update may have');
    await this.walk(next, now);
  }

  /** Walks roots one after the other. */
  async walk(roots: Given[], now: number): Promise<void> {
    for (const root of await this.#next(roots)) await this.#takeRoot(expect(root, 'root'), now);
  }

  /** An update without what is on record already, as far as it stands first. */
  async #next(roots: Given[]): Promise<Envelope[]> {
    const envelopes = roots.map(opened);
    const known = new Set(this.roots.map(({ digest }) => text64(digest)));
    const digests = await Promise.all(envelopes.map(async (root) => text64(await root.digest())));
    const first = digests.findIndex((digest) => !known.has(digest));
    return first < 0 ? [] : envelopes.slice(first);
  }

  /** ID-9. No key outlives its root (ID-7): what is signed under one that has expired is refused in any case. */
  current(now: number): void {
    if (this.newest.root.expires <= now) throw refusedRoot('ID-9', 'the last root has expired');
  }

  /** ID-1, ID-2, ID-4 to ID-8, ID-12. A root that is not well formed is refused like one that does not verify. */
  async #takeRoot(envelope: Envelope, now: number): Promise<void> {
    const value = formed('json', () => read(envelope.payload), 'ENV-16', 'verification_failed');
    const root = formed('payload', () => rootForm(value), 'ENV-19', 'verification_failed');
    const digest = await envelope.digest();
    await wellMade(root);
    const before = this.roots.at(-1);
    if (root.version !== this.roots.length + 1) throw refusedRoot('ID-5', 'the version is not the next one');
    if (root.prev !== (before && text64(before.digest))) throw refusedRoot('ID-5', 'the root does not follow the one before');
    if (root.issued < (before?.root.issued ?? -Infinity) || root.issued > now + CLOCK_SKEW_MS_MAX)
      throw refusedRoot('ID-5', 'the root was issued before its predecessor, or is of the future');
    if (before === undefined && gatewayId(digest) !== this.gid)
      throw refusedRoot('ID-4', 'the first root is not the one that makes the gateway id');
    await this.#signedRoot(envelope, root);
    this.roots.push({ root, digest });
  }

  /** ID-4 and ID-6: root keys are judged at the `issued` of the root that they sign. */
  async #signedRoot(envelope: Envelope, root: Root): Promise<void> {
    const signers = [root, ...this.roots.slice(-1).map((before) => before.root)];
    const sets = signers.map((signer) => keysAt(signer, 'root', root.issued));
    await signedBy(envelope, new Map(sets.flatMap((keys) => [...keys])), 1);
    signers.forEach((signer, at) => {
      const count = envelope.signatures.filter(([kid]) => sets[at]?.has(kid)).length;
      if (count < (signer.roles.root?.threshold ?? 0))
        throw new Refusal('ID-6', 'verification_failed', 'signature', `too few root keys of root ${signer.version} signed`);
    });
  }

  /** ID-22; root keys are not revoked. */
  #unrevoked(keys: Keys): Keys {
    return new Map([...keys].filter(([kid]) => !this.revoked.has(kid)));
  }

  /** Verifies an envelope under a role of the newest root at a time, and reads its payload (ENV-8 to ENV-18, ID-22, ID-31). */
  async verify(envelope: Envelope, kind: string, role: Role, now: number): Promise<Json> {
    expect(envelope, kind);
    const { root } = this.newest;
    if (kind !== 'status' && root.version < this.minRootVersion)
      throw new Refusal('ID-31', 'root_unknown', 'status', 'the newest root is older than the lowest that counts');
    await signedBy(envelope, this.#unrevoked(keysAt(root, role, now)), root.roles[role]?.threshold ?? 1);
    return formed('json', () => read(envelope.payload), 'ENV-16');
  }

  /** ID-21: whether the newest status that was accepted is good now. */
  fresh(now: number): void {
    if ((this.status?.expires ?? now) <= now) throw new Refusal('ID-21', 'status_stale', 'status', 'the newest status has expired');
  }

  /** Judges a status and remembers it (ID-15 to ID-20, ID-22, ID-82). */
  async takeStatus(value: Given, now: number): Promise<void> {
    const envelope = opened(value);
    const read = await this.verify(envelope, 'status', 'status', now);
    const status = formed('payload', () => statusForm(read));
    this.#ofThisRoot(status);
    if (status.expires <= now) throw refusedStatus('ID-16', 'status_stale', 'the status has expired');
    if (status.seq > now + CLOCK_SKEW_MS_MAX) throw refusedStatus('ID-17', 'verification_failed', 'the status is of the future');
    const digest = text64(await envelope.digest());
    this.#follows(status, digest);
    this.#revoke(status, now);
    this.#statuses.push({ status, digest, under: this.roots.length });
  }

  /** ID-15. */
  #ofThisRoot(status: Status): void {
    if (status.iss !== this.gid) throw refusedStatus('ID-15', 'verification_failed', "the status is another gateway's");
    const named = this.roots[status.root_version - 1];
    if (named === undefined) throw refusedStatus('ID-15', 'root_unknown', 'the status names a root that is not known');
    if (status.root !== text64(named.digest)) throw refusedStatus('ID-15', 'verification_failed', 'the status names another root');
  }

  /** ID-18 to ID-20. */
  #follows(status: Status, digest: string): void {
    for (const before of [...this.#statuses].reverse()) {
      if (!this.#forgotten(before, status.root_version)) {
        if (status.seq === before.status.seq && digest !== before.digest)
          throw new Refusal('ID-19', 'equivocation', 'status', 'two statuses have one number', 'equivocating');
        if (status.seq < before.status.seq) throw refusedStatus('ID-18', 'status_stale', 'a later status is known');
      }
      const [old, next] = [before.status.incarnation, status.incarnation];
      const onward = next.n === old.n ? next.since === old.since : next.n > old.n && next.since >= old.since;
      if (!onward || status.root_version < before.status.root_version)
        throw refusedStatus('ID-18', 'status_stale', 'the incarnation or the root goes back');
    }
  }

  /** ID-20: whether the status keys changed after a status was accepted, with a root that is not after this version. */
  #forgotten(before: Accepted, version: number): boolean {
    const keys = this.roots.slice(before.under - 1, version).map(({ root }) => root.roles.status?.keyids.join());
    return keys.some((one) => one !== keys[0]);
  }

  /** ID-22, and ID-82 for ids that no root names. */
  #revoke(status: Status, now: number): void {
    const all = new Map(status.revoked.map(({ kid }) => [kid, this.revoked.get(kid) ?? now]));
    for (const [kid, learnt] of this.revoked) all.set(kid, learnt);
    const named = new Set(this.roots.flatMap(({ root }) => [...root.keys.keys()]));
    const others = [...all].filter(([kid, learnt]) => !named.has(kid) && now - learnt < CREDENTIAL_LIFE_MS_MAX);
    if (others.length > REVOCATIONS_KEPT_MAX)
      throw refusedStatus('ID-82', 'verification_failed', 'more revocations than are remembered');
    this.revoked = all;
  }
}

const refusedRoot = (clause: string, why: string): Refusal => new Refusal(clause, 'verification_failed', 'root', why);
const refusedStatus = (clause: string, code: string, why: string): Refusal => new Refusal(clause, code, 'status', why);

const ROLES_REQUIRED: Role[] = ['root', 'stream', 'request', 'status', 'policy'];

/** ID-1 and ID-2. */
export async function goodKeys(keys: ReadonlyMap<string, { readonly pub: string }>, refuse: (clause: string, why: string) => Refusal) {
  for (const [kid, { pub }] of keys) {
    if ((await keyId(raw64(pub))) !== kid) throw refuse('ID-1', `key ${kid} stands under another name`);
    if (!ed25519.goodKey(raw64(pub))) throw refuse('ID-2', `key ${kid} is not canonical or not of the prime order`);
  }
}

/** ID-1, ID-2, ID-7, ID-8. */
async function wellMade(root: Root): Promise<void> {
  const life = root.expires - root.issued;
  if (life < 1 || life > ROOT_LIFE_MS_MAX) throw refusedRoot('ID-8', "the root's life is wrong");
  if (ROLES_REQUIRED.some((role) => root.roles[role] === undefined)) throw refusedRoot('ID-7', 'a required role is missing');
  const roles = Object.values(root.roles);
  const named = roles.flatMap(({ keyids }) => keyids);
  if (new Set(named).size !== named.length) throw refusedRoot('ID-7', 'a key stands in two roles');
  if (named.length !== root.keys.size || named.some((kid) => !root.keys.has(kid)))
    throw refusedRoot('ID-7', 'a key of no role, or a role without its key');
  if (roles.some(({ keyids, threshold }) => threshold < 1 || threshold > keyids.length))
    throw refusedRoot('ID-7', 'a threshold is zero or larger than the number of keys');
  if ([...root.keys.values()].some(({ nbf, exp }) => nbf >= exp || exp > root.expires))
    throw refusedRoot('ID-7', 'a key is good at no time, or outlives the root');
  await goodKeys(root.keys, refusedRoot);
}
