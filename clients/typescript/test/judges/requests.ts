/** What an executor judges of a request, in the order of checks (`spec/request.md`). */

import * as client from '../../src/documents.js';
import { digest, Envelope, isObject, type Json, text64, utf8, write } from '../../src/form.js';
import * as approvals from './approval-forms.js';
import { type Federation, type Grant } from './federation.js';
import { type Check, status as statusForm, where } from './forms.js';
import { judgeMembership, type Membership } from './joining.js';
import { isTimely, lives, type Operation, operation, unverifiedIss } from './operation.js';
import { CLOCK_SKEW_MS_MAX, expect, formed, type Gateway, Refusal, ROOT_STEPS_MAX, within } from './standing.js';

/** The version of the protocol that is spoken here. */
const PROTO = 1;
const PROTO_VERSIONS_MAX = 16;

type Peer = Federation['peers'][number];
type Seen = { readonly n: number; readonly seq: number };
type Tenant = { readonly dst: string; readonly src: string };

/** A key that is remembered: with the print of its start, or as blocked. */
interface Key {
  readonly caller: string;
  readonly tenant: Tenant;
  readonly key: string;
  readonly print?: string;
}

/** What an executor knows when a request arrives. */
export interface Executor {
  readonly own: Gateway;
  readonly federation: Federation;
  readonly peers: readonly Gateway[];
  readonly memberships: readonly Json[];
  readonly keys: readonly Key[];
  /** The newest of its own statuses. */
  readonly issued: Seen;
  readonly incarnation: { readonly n: number; readonly since: number };
  readonly keyWindowMs: number;
}

const request = where(
  client.request,
  [({ proto }) => proto.length <= PROTO_VERSIONS_MAX, 'too many versions'],
  [({ proto }) => proto.every((one, at) => at === 0 || (proto[at - 1] ?? one) < one), 'the versions do not ascend, each once'],
);

const granted = client.has({ approval: client.text(30, 30, /^apr-[a-z2-7]{26}$/), decision: approvals.decision });
const asked = client.has({ request: (value) => Envelope.of(value ?? null), subject: client.text(0, 65_536) });
const WORKS = ['prompt', 'toolCall', 'approvalGrant', 'approvalRequest'] as const;
type Start = ReturnType<typeof client.start>;
const works = (read: Start) => WORKS.filter((work) => read[work] !== undefined);
const isApproval = (read: Start): boolean => works(read).some((work) => work.startsWith('approval'));

const start = where(
  client.start,
  [(read) => works(read).length === 1, 'REQ-8: not exactly one kind of work'],
  [({ agentTarget: { mode, session } }) => (session === undefined) === (mode === 'session'), 'REQ-8: the session does not fit the mode'],
  [({ toolCall, agentTarget }) => toolCall === undefined || agentTarget.mode === 'session', 'REQ-40: a tool call in a conversation'],
  [({ toolCall }) => toolCall === undefined || isObject(toolCall.args), 'REQ-40: the arguments are not one object'],
  [
    (read) => !isApproval(read) || (read.agentTarget.agent === 'operators' && read.agentTarget.mode === 'session'),
    'APR-32: an approval is a matter of the operators',
  ],
  [({ approvalGrant }) => approvalGrant === undefined || !!granted(approvalGrant), 'not the form of a grant'],
  [({ approvalRequest }) => approvalRequest === undefined || !!asked(approvalRequest), 'not the form of a question'],
);

const named = { idempotencyKey: client.text(16, 128, /^[\x21-\x7e]*$/), run: client.run };
const ofOneRun = <T extends { readonly run?: string; readonly idempotencyKey?: string }>(check: Check<T>): Check<T> =>
  where(check, [({ run, idempotencyKey }) => (run === undefined) !== (idempotencyKey === undefined), 'not one name of a run']);

const BODIES = {
  start,
  attach: ofOneRun(client.has({ after: client.integer() }, named)),
  cancel: ofOneRun(client.has({}, { ...named, reason: client.text(0, 256) })),
  inspect: ofOneRun(client.has({}, named)),
  catalog: client.has({}),
};

const refused = (clause: string, code: string, why: string, phase = 'request'): Refusal => new Refusal(clause, code, phase, why);
const samePair = (one: Tenant, two: Tenant): boolean => one.src === two.src && one.dst === two.dst;
const isBeyond = (one: Seen, two: Seen): boolean => one.n > two.n || (one.n === two.n && one.seq > two.seq);

/** Judges a request by the order of checks, and tells whether its key is known already. */
export async function judgeRequest(executor: Executor, route: string, text: string, now: number): Promise<'accepted' | 'known'> {
  const body = operation(text, ROOT_STEPS_MAX);
  for (const root of body.roots) expect(root, 'root');
  expect(body.status, 'status');
  expect(body.request, 'request');
  const [sender, peer] = known(executor, body.status);
  await within('root', sender.update(body.roots, now));
  await taken(sender.takeStatus(body.status, now));
  const payload = await sender.verify(body.request, 'request', 'request', now);
  const said = formed('payload', () => request(payload));
  const what = formed('payload', () => BODIES[said.op](said.body));
  if (said.iss !== sender.gid || said.aud !== executor.own.gid)
    throw refused('REQ-11', 'verification_failed', 'the request is of or for another gateway', 'party');

  if (said.op !== route) throw refused('REQ-12', 'malformed', 'the operation is of another route');
  const grants = await usable(executor, peer, now);
  const grant = grants.find(({ local, remote }) => samePair(said.tenant, { src: remote, dst: local }));
  const keys = executor.keys.filter(({ caller, tenant }) => caller === sender.gid && samePair(tenant, said.tenant));
  if (grant === undefined && keys.length === 0) throw refused('REQ-13', 'not_granted', 'neither a grant nor a key of the tenant pair');
  if (!lives(said)) throw refused('REQ-15', 'malformed', 'the life is wrong');
  if (!isTimely(said, now)) throw refused('REQ-14', 'clock_skew', 'the request is out of time');
  const least = executor.own.newest.root.min_proto;
  if (!said.proto.includes(PROTO) || PROTO < least)
    throw refused('REQ-16', 'protocol_unsupported', 'no version of it is spoken here');
  await notRolledBack(executor, body, said.seen, now);
  if (said.op !== 'start') return 'accepted';
  return judgeKey(executor, keys, grant, what as Start, await print(said.body), now);
}

/** Step 5: the peer that the status names. */
function known({ federation, peers }: Executor, status: Envelope): [Gateway, Peer] {
  const gid = unverifiedIss(status);
  const peer = federation.peers.find((one) => one.gid === gid);
  const sender = peers.find((one) => one.gid === gid);
  if (peer === undefined || sender === undefined)
    throw refused('REQ-9', 'verification_failed', 'the status names no peer', 'status');
  return [sender, peer];
}

/** Step 7: a request with a status that contradicts one before is refused (ID-19). */
async function taken(status: Promise<void>): Promise<void> {
  try {
    await status;
  } catch (fault) {
    if (fault instanceof Refusal && fault.verdict === 'equivocating')
      throw refused('ID-19', 'verification_failed', 'the status contradicts one before', 'status');
    throw fault;
  }
}

/** Step 12, and the grants that may be used now (ID-61, ID-70, ID-71). */
async function usable({ federation, memberships }: Executor, peer: Peer, now: number): Promise<readonly Grant[]> {
  if (peer.status === 'revoked') throw refused('ID-61', 'peer_revoked', 'the peer is revoked');
  if (peer.status === 'suspended') throw refused('REQ-9', 'peer_suspended', 'the peer is suspended');
  const root = federation.roots.find(({ members }) => members?.includes(peer.gid));
  if (root === undefined) return peer.grants;
  let counted: Membership | undefined;
  for (const shown of memberships) {
    const one = await counts(federation, shown, now);
    if (one?.member === peer.gid && one.federation === root.name && one.issued >= (counted?.issued ?? 0)) counted = one;
  }
  if (counted === undefined) throw refused('ID-70', 'peer_suspended', 'no membership counts for the member');
  const { tenants } = counted;
  return peer.grants.filter(({ remote }) => tenants.includes(remote));
}

async function counts(federation: Federation, shown: Json, now: number): Promise<Membership | undefined> {
  try {
    return await judgeMembership(federation, shown, now);
  } catch (fault) {
    if (fault instanceof Refusal) return undefined;
    throw fault;
  }
}

/** Step 16: what `seen` names (ID-41), and statuses of its own that it is shown (ID-42). Of runs nothing is told here. */
async function notRolledBack({ own, issued, incarnation }: Executor, body: Operation, seen: Seen, now: number): Promise<void> {
  const shown = [seen];
  for (const envelope of body.held.filter(({ kind }) => kind === 'status')) {
    try {
      const { incarnation, seq } = statusForm(await own.verify(envelope, 'status', 'status', now));
      shown.push({ n: incarnation.n, seq });
    } catch (fault) {
      if (!(fault instanceof Refusal)) throw fault;
    }
  }
  if (shown.some((one) => one.seq !== 0 && one.n >= incarnation.n && isBeyond(one, issued)))
    throw refused('ID-41', 'rolled_back', 'the caller has seen a status of which nothing is remembered');
}

const print = async (body: Json): Promise<string> => text64(await digest(utf8('GFP-BODY-v1\n'), utf8(write(body))));

/** Step 18, as far as the key, the times and the grant go. */
function judgeKey(
  { incarnation, keyWindowMs }: Executor,
  keys: readonly Key[],
  grant: Grant | undefined,
  asks: Start,
  printed: string,
  now: number,
): 'accepted' | 'known' {
  const key = keys.find((one) => one.key === asks.idempotencyKey);
  if (key !== undefined) {
    if (key.print === undefined) throw refused('REQ-32', 'cancelled_before_start', 'the key is blocked', 'key');
    if (key.print !== printed) throw refused('REQ-20', 'key_conflict', 'the key is bound to another print', 'key');
    return 'known';
  }
  if (incarnation.n > 1 && asks.invokedAt < incarnation.since)
    throw refused('REQ-21', 'lost_history', 'invoked before the incarnation began', 'key');
  if (asks.invokedAt < now - keyWindowMs) throw refused('REQ-21', 'key_expired', 'invoked before the key window', 'key');
  if (asks.invokedAt > now + CLOCK_SKEW_MS_MAX) throw refused('REQ-68', 'clock_skew', 'invoked in the future', 'key');
  if (grant === undefined || !covers(grant, asks)) throw refused('REQ-22', 'not_granted', 'no grant covers the start', 'key');
  return 'accepted';
}

/** REQ-22. The operators are no agent of the gateway, and a direct tool call is led in no session. */
function covers({ asks, agents, modes, tools }: Grant, start: Start): boolean {
  const { agentTarget, toolCall, prompt } = start;
  if (!works(start).every((work) => asks.includes(work))) return false;
  if (isApproval(start)) return true;
  if (toolCall !== undefined && !tools.includes(toolCall.tool)) return false;
  return agents.includes(agentTarget.agent) && (prompt === undefined || modes.includes(agentTarget.mode));
}
