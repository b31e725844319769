/** How gateways come to know each other: invites, pairings, memberships and admissions (`spec/identity.md`). */

import { createHmac } from 'node:crypto';

import * as form from '../../src/documents.js';
import { type Bytes, digest, gatewayId, type Json, raw64, read, text64, utf8 } from '../../src/form.js';
import { type Federation } from './federation.js';
import { alias, ascending, digest as digestText, tenant, time, version, where } from './forms.js';
import { isTimely, lives, type Operation, operation, refusedBody } from './operation.js';
import { CLOCK_SKEW_MS_MAX, expect, formed, Gateway, type Given, goodAt, opened, Refusal, signedBy, within } from './standing.js';

const INVITE_BYTES_MAX = 1024;
const CHAIN_ROOTS_MAX = 256;
const MEMBERSHIP_LIFE_MS_MAX = 604_800_000;

const invite = form.has({
  endpoint: form.endpoint,
  expires: time,
  genesis: digestText,
  root: digestText,
  root_version: version,
  secret: digestText,
  v: form.one,
});
export type Invite = ReturnType<typeof invite>;

/** Reads an invite's text (ID-73). */
async function readInvite(said: string): Promise<Invite> {
  const refused = (why: string): Refusal => new Refusal('ID-73', 'malformed', 'text', why);
  const text = said.replace(/[ \t\n\f\r]/g, '');
  if (text.length > INVITE_BYTES_MAX) throw refused('the text is too long');
  const [, base64, check] = /^gfp1:([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]{6})$/.exec(text) ?? [];
  if (base64 === undefined) throw refused('not the text of an invite');
  const document = formed('text', () => raw64(base64), 'ID-73');
  if (text64(await digest(utf8('GFP-INVITE-TEXT-v1\n'), document)).slice(0, 6) !== check)
    throw refused('the check is of another document');
  return formed('document', () => invite(read(document)));
}

/** Judges an invite and the roots at its endpoint, as the gateway that joins (ID-33, ID-73). */
export async function judgeInvite(text: string, roots: Json[], now: number): Promise<void> {
  const { expires, genesis, root, root_version } = await readInvite(text);
  if (expires <= now) throw new Refusal('ID-73', null, 'document', 'the invite has expired');
  const inviter = new Gateway(gatewayId(raw64(genesis)));
  await within('root', inviter.walk(roots, now));
  inviter.current(now);
  const named = inviter.roots[root_version - 1];
  if (named === undefined || text64(named.digest) !== root)
    throw new Refusal('ID-33', 'verification_failed', 'root', 'the chain does not pass through the root of the invite');
}

/** What a gateway verifies of one that it does not know: chain, status and request, in this order. */
async function stranger(body: Operation, kind: string, now: number): Promise<[Gateway, Json]> {
  const { roots, status, request } = body;
  if (roots.length === 0) throw refusedBody('ID-79', 'malformed', 'the chain is missing');
  for (const root of roots) expect(root, 'root');
  expect(status, 'status');
  expect(request, kind);
  const gateway = await within('root', Gateway.known(roots, now));
  await gateway.takeStatus(status, now);
  return [gateway, await gateway.verify(request, kind, 'request', now)];
}

const attempt = { aud: form.gateway, exp: form.integer(), iat: form.integer(), iss: form.gateway, v: form.one };
const isGenesis = (genesis: string, gid: string): boolean => gatewayId(raw64(genesis)) === gid;
const life = 'REQ-15: the life is wrong';

const pairing = where(
  form.has({ ...attempt, genesis: digestText, invite: digestText, jti: form.text(22, 64, /^[A-Za-z0-9_-]*$/), proof: digestText }),
  [({ genesis, iss }) => isGenesis(genesis, iss), 'the genesis is not the digest inside the gateway id'],
  [({ aud, iss }) => aud !== iss, 'a pairing with itself'],
  [lives, life],
);

/** An invite that was given out, and what became of it. */
export interface GivenOut {
  readonly document: Invite;
  readonly used_by: string | null;
  readonly withdrawn: number | null;
}

const inviteId = async (secret: Bytes): Promise<string> => text64(await digest(utf8('GFP-INVITE-v1\n'), secret));
const proven = (secret: Bytes, inviter: string, joiner: string): string =>
  createHmac('sha256', secret).update(`GFP-PAIRING-v1\n${inviter}\n${joiner}`).digest('base64url');

/** Judges a pairing of a gateway of which nothing is known, as the one that invited (ID-34, ID-79). */
export async function judgePairing(own: Gateway, invites: readonly GivenOut[], text: string, now: number): Promise<void> {
  const refused = (clause: string, why: string, code = 'verification_failed') => new Refusal(clause, code, 'pairing', why);
  const [joiner, value] = await stranger(operation(text, CHAIN_ROOTS_MAX), 'pairing', now);
  const said = formed('payload', () => pairing(value));
  if (said.iss !== joiner.gid || said.aud !== own.gid) throw refused('REQ-11', 'the pairing is of or for another gateway');
  if (!isTimely(said, now)) throw refused('REQ-14', 'the pairing is out of time', 'clock_skew');
  for (const { document, used_by, withdrawn } of invites) {
    const secret = raw64(document.secret);
    if ((await inviteId(secret)) !== said.invite) continue;
    if (document.expires <= now || used_by !== null || withdrawn !== null) throw refused('ID-34', 'the invite is not open any more');
    if (proven(secret, own.gid, joiner.gid) !== said.proof) throw refused('ID-34', 'the proof does not hold');
    return;
  }
  throw refused('ID-34', 'no such invite was given out');
}

const membership = form.has({
  expires: form.integer(),
  federation: alias,
  genesis: digestText,
  issued: form.integer(),
  member: form.gateway,
  tenants: ascending(tenant, 1),
  v: form.one,
});
export type Membership = ReturnType<typeof membership>;

/** Judges whether a membership counts now (ID-32). */
export async function judgeMembership(document: Federation, value: Given, now: number): Promise<Membership> {
  const refused = (why: string): Refusal => new Refusal('ID-32', 'verification_failed', 'membership', why);
  const envelope = expect(opened(value), 'membership');
  // It names the root whose keys sign it, so its form is read first.
  const payload = formed('json', () => read(envelope.payload), 'ENV-16', 'verification_failed');
  const said = formed('payload', () => membership(payload), 'ENV-19', 'verification_failed');
  const root = document.roots.find(({ name }) => name === said.federation);
  if (root === undefined) throw refused('the federation root is not known');
  await signedBy(envelope, goodAt(root.keys, now), root.threshold);
  const lifetime = said.expires - said.issued;
  if (lifetime < 1 || lifetime > MEMBERSHIP_LIFE_MS_MAX) throw refused('the life is wrong');
  if (said.expires <= now || said.issued > now + CLOCK_SKEW_MS_MAX) throw refused('it has expired, or is of the future');
  if (!isGenesis(said.genesis, said.member)) throw refused('the genesis is not the digest inside the gateway id');
  if (!said.tenants.every((one) => root.tenants.includes(one))) throw refused('the root does not have the tenants');
  const takesPlace = ({ gid, status }: Federation['peers'][number]) => status !== 'revoked' && root.members?.includes(gid);
  const places = new Set(document.peers.filter(takesPlace).map(({ gid }) => gid)).add(said.member);
  if (places.size > root.max_members) throw refused('the root has no place for another member');
  return said;
}

const admission = where(
  form.has({ ...attempt, membership: digestText }),
  [({ aud, iss }) => aud !== iss, 'an admission to itself'],
  [lives, life],
);

/** Judges an admission (ID-68, ID-72, ID-79), where one membership of the same member may have been taken before. */
export async function judgeAdmission(own: Gateway, document: Federation, kept: Json, text: string, now: number): Promise<void> {
  const refused = (why: string): Refusal => new Refusal('ID-68', 'verification_failed', 'admission', why);
  const body = operation(text, CHAIN_ROOTS_MAX);
  const [shown] = body.held;
  if (shown === undefined || body.held.length > 1) throw refusedBody('ID-68', 'malformed', 'not one membership');
  expect(shown, 'membership');
  const [member, value] = await stranger(body, 'admission', now);
  const said = formed('payload', () => admission(value));
  if (said.iss !== member.gid || said.aud !== own.gid) throw refused('the admission is of or for another gateway');
  if (!isTimely(said, now)) throw refused('the admission is out of time');
  if (said.membership !== text64(await shown.digest())) throw refused('the admission is of another membership than the one shown');
  const counted = await judgeMembership(document, shown, now);
  if (counted.member !== member.gid) throw refused('the membership is of another gateway');
  const before = kept === null ? undefined : membership(read(opened(kept).payload));
  if (before !== undefined && counted.issued < before.issued)
    throw new Refusal('ID-72', 'verification_failed', 'membership', 'a later one of the same member was taken before');
}
