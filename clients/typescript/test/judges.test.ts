/** What a gateway verifies, against the vectors: a judge that is written from the contract alone. */

import { test } from 'node:test';

import * as client from '../src/documents.js';
import { digest, type Json, text64, utf8 } from '../src/form.js';
import * as approvals from './judges/approval-forms.js';
import { type Federation, federation as federationForm, useFederation } from './judges/federation.js';
import * as forms from './judges/forms.js';
import { hold, type Judge, parts, type Vector } from './judges/hold.js';
import { judgeAdmission, judgeInvite, judgeMembership, judgePairing } from './judges/joining.js';
import { judgeRequest } from './judges/requests.js';
import { formed, Gateway, opened, openedText } from './judges/standing.js';

/** The kinds of which a role of the signer's newest root signs: what reads their payload. */
const KINDS = new Map(Object.entries<[forms.Role, forms.Check<unknown>]>({
  status: ['status', forms.status],
  request: ['request', client.request],
  receipt: ['request', client.receipt],
  accept: ['stream', client.accept],
  seal: ['stream', client.seal],
  federation: ['policy', federationForm],
  answer: ['stream', forms.answer],
  problem: ['stream', forms.problem],
  catalog: ['catalog', approvals.catalog],
  'operator-credential': ['operator-ca', approvals.credential],
}));

async function read(gateway: Gateway, value: Json | string, kind: string, now: number): Promise<void> {
  const [role, reads] = KINDS.get(kind) ?? [undefined, undefined];
  if (role === undefined) throw new Error(`no judge for the kind ${kind}`);
  const envelope = typeof value === 'string' ? openedText(value) : opened(value);
  const payload = await gateway.verify(envelope, kind, role, now);
  formed('payload', () => reads(payload));
}

const envelope: Judge = async (vector) => {
  const signer = await Gateway.known(vector.roots, vector.now);
  await read(signer, parts(vector.envelope), vector.kind, vector.now);
};

const walk: Judge = async (vector) => {
  const gateway = new Gateway(vector.gateway);
  for (const update of vector.updates) await gateway.update(update, vector.now);
  gateway.current(vector.now);
  const { version } = gateway.newest.root;
  return version === vector.version ? 'accepted' : `accepted up to root ${version}`;
};

const status: Judge = async (vector) => {
  const first = vector.before[0]?.at ?? vector.now;
  const gateway = await Gateway.known(vector.roots, first, undefined, vector.min_root_version);
  for (const step of vector.before) {
    if (step.roots !== undefined) await gateway.update(step.roots, step.at);
    if (step.status !== undefined) await gateway.takeStatus(step.status, step.at);
  }
  if (vector.remembered !== null) {
    const { count, at } = vector.remembered;
    const ids = await Promise.all(Array.from({ length: count }, (_, before) => digest(utf8(`${before + 1}`))));
    gateway.revoked = new Map([...gateway.revoked, ...ids.map((id): [string, number] => [text64(id), at])]);
  }
  await gateway.takeStatus(vector.status, vector.now);
  if (vector.then === null) return;
  gateway.fresh(vector.then.at);
  await read(gateway, vector.then.envelope, vector.then.kind, vector.then.at);
};

const federation: Judge = async (vector) => {
  const own = await Gateway.known(vector.roots, vector.now);
  await useFederation(own, vector.federation, vector.used, vector.now);
};

/** A gateway's own roots and federation document, as it uses them. */
async function own(vector: Vector): Promise<[Gateway, Federation]> {
  const gateway = await Gateway.known(vector.roots, vector.now);
  return [gateway, await useFederation(gateway, vector.federation, 0, vector.now)];
}

const invite: Judge = (vector) => judgeInvite(vector.text, vector.roots, vector.now);

const pairing: Judge = async (vector) => {
  const inviter = await Gateway.known(vector.roots, vector.now);
  await judgePairing(inviter, vector.invites, parts(vector.body), vector.now);
};

const membership: Judge = async (vector) => {
  const [, document] = await own(vector);
  await judgeMembership(document, vector.membership, vector.now);
};

const admission: Judge = async (vector) => {
  const [gateway, document] = await own(vector);
  await judgeAdmission(gateway, document, vector.kept, parts(vector.body), vector.now);
};

const request: Judge = async (vector) => {
  const [gateway, document] = await own(vector);
  const peers: Gateway[] = [];
  for (const { gateway: gid, roots, status, at } of vector.peers) {
    const least = document.peers.find((peer) => peer.gid === gid)?.min_root_version;
    const peer = await Gateway.known(roots, at, gid, least);
    if (status !== null) await peer.takeStatus(status, at);
    peers.push(peer);
  }
  const { memberships, keys, issued, incarnation, key_window_ms: keyWindowMs } = vector;
  const executor = { own: gateway, federation: document, peers, memberships, keys, issued, incarnation, keyWindowMs };
  return judgeRequest(executor, vector.route, parts(vector.body), vector.now);
};

test('every envelope is judged as it must', () => hold('envelopes', 310, envelope));
test('every walk ends as it must', () => hold('walks', 154, walk));
test('every status is judged as it must', () => hold('statuses', 116, status));
test('every federation document is judged as it must', () => hold('federations', 172, federation));
test('every invite is judged as it must', () => hold('invites', 71, invite));
test('every pairing is judged as it must', () => hold('pairings', 100, pairing));
test('every membership is judged as it must', () => hold('memberships', 50, membership));
test('every admission is judged as it must', () => hold('admissions', 69, admission));
test('every request is judged as it must', () => hold('requests', 271, request));
