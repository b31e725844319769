/** A gateway's own federation document: its members, and whether it may be used (`spec/identity.md`, `spec/approvals.md`). */

import * as form from '../../src/documents.js';
import * as ed25519 from '../../src/ed25519.js';
import { digest, gatewayId, type Json, raw64, text64, utf8 } from '../../src/form.js';
import * as approvals from './approval-forms.js';
import { agent, alias, ascending, type Check, digest as digestText } from './forms.js';
import { inOrder, keys, mode, tenant, version, where } from './forms.js';
import { formed, Gateway, goodKeys, opened, Refusal } from './standing.js';

const DAY_MS = 86_400_000;
const PROJECTION_LIFE_MS_MAX = 34_560_000_000;

const upTo = (high: number): Check<number> => where(version, [(read) => read <= high, `more than ${high}`]);
const disclosed = form.oneOf('none', 'digest', 'full');

const reserved = (scope: string): boolean => /^operator(\.|$)/.test(scope);

export type Grant = ReturnType<typeof grant>;
const grant = where(
  form.has(
    {
      agents: ascending(agent),
      asks: ascending(form.oneOf('approvalGrant', 'approvalRequest', 'prompt', 'toolCall'), 1),
      deadline_ms_max: upTo(DAY_MS),
      disclose: form.has({ output: disclosed, tool_args: disclosed, tool_results: disclosed }),
      local: tenant,
      modes: ascending(mode),
      remote: tenant,
      tools: ascending(form.text(1, 128, /^[\x21-\x7e]*$/)),
    },
    {
      approval: form.has({ quorum: upTo(16), scope: where(approvals.scopeName, [(scope) => !reserved(scope), 'APR-5: a scope that is reserved']) }),
      bytes_max: version,
      concurrent_max: version,
      cost_micro_usd_per_day: version,
      frames_max: version,
      starts_per_second: version,
      tokens_per_day: version,
    },
  ),
  [({ asks, tools }) => asks.includes('toolCall') === tools.length > 0, 'tools stand exactly where tool calls may be asked'],
  [({ asks, modes }) => !asks.includes('prompt') || modes.length > 0, 'no mode for a prompt'],
  [({ asks, agents }) => agents.length > 0 || asks.every((ask) => ask.startsWith('approval')), 'no agent for what may be asked'],
);

const projection = where(
  approvals.projection,
  [({ local_scope, remote_scope }) => !reserved(local_scope) && !reserved(remote_scope), 'APR-5: a scope that is reserved'],
  [({ nbf, exp }) => nbf < exp && exp - nbf <= PROJECTION_LIFE_MS_MAX, 'APR-5: the life is wrong'],
  [({ constraints }) => constraints.max_ttl_ms <= DAY_MS, 'an approval that may live for longer than any does'],
  [({ constraints }) => form.ascends(constraints.methods) && form.ascends(constraints.subject_kinds), 'constraints do not ascend'],
);

const peer = where(
  form.has(
    {
      alias,
      endpoints: form.list(form.endpoint, 0, 8),
      genesis: digestText,
      gid: form.gateway,
      grants: form.list(grant, 0, 64),
      min_root_version: version,
      status: form.oneOf('active', 'suspended', 'revoked'),
    },
    { projections: form.list(projection, 1, 64) },
  ),
  [({ grants }) => inOrder(grants, ({ local, remote }) => [local, remote]), 'ID-29: the grants do not ascend, one for each pair'],
  [
    ({ projections = [] }) => inOrder(projections, (one) => [one.local, one.remote, one.local_scope, one.remote_scope]),
    'APR-5: the projections do not ascend, each once',
  ],
  [({ genesis, gid }) => gatewayId(raw64(genesis)) === gid, 'ID-29: the genesis is not the digest inside the gateway id'],
);

export type FederationRoot = ReturnType<typeof federationRoot>;
const federationRoot = where(
  form.has(
    { keys, max_members: upTo(1024), name: alias, tenants: ascending(tenant, 1), threshold: version },
    { members: ascending(form.gateway, 1) },
  ),
  [({ keys, threshold }) => threshold <= keys.size, 'a threshold of more keys than there are'],
  [({ keys }) => [...keys.values()].every(({ nbf, exp }) => nbf < exp), 'a key that is good at no time'],
);

const operator = form.has({
  keys: where(form.list(approvals.operatorKey, 1, 8), [(all) => inOrder(all, ({ kid }) => [kid]), 'the keys do not ascend']),
  name: approvals.operatorName,
  scopes: ascending(approvals.scopeName, 1, 64),
  tenant,
});

const distinct = (names: readonly string[]): boolean => new Set(names).size === names.length;

export type Federation = ReturnType<typeof federation>;
export const federation = where(
  form.has(
    {
      iss: form.gateway,
      issued: form.integer(),
      peers: form.list(peer, 0, 64),
      roots: form.list(federationRoot, 0, 16),
      v: form.one,
      version,
    },
    { operators: form.list(operator, 1, 128) },
  ),
  [({ peers }) => inOrder(peers, ({ gid }) => [gid]), 'ID-29: the peers do not ascend, each once'],
  [({ peers }) => distinct(peers.map((one) => one.alias)), 'ID-29: two peers share an alias'],
  [({ iss, peers }) => peers.every(({ gid }) => gid !== iss), 'ID-29: a peer is the gateway itself'],
  [
    ({ peers }) => {
      const grants = peers.flatMap(({ status, grants }) => (status === 'revoked' ? [] : grants));
      return distinct(grants.flatMap(({ agents }) => [...new Set(agents.map((name) => name.toLowerCase()))]));
    },
    'ID-29: two grants name one agent',
  ],
  [({ roots }) => inOrder(roots, ({ name }) => [name]), 'the federation roots do not ascend, each once'],
  [({ operators = [] }) => inOrder(operators, ({ tenant, name }) => [tenant, name]), 'the operators do not ascend, each once'],
  [
    ({ operators = [] }) => distinct(operators.flatMap((one) => one.keys.map(({ kid }) => `${one.tenant} ${kid}`))),
    'one key stands for two operators of a tenant',
  ],
  [({ roots }) => distinct(roots.flatMap(({ members = [] }) => members)), 'ID-67: a member of two roots'],
  [
    ({ peers, roots }) =>
      roots.every(({ members = [], max_members, tenants }) => {
        const found = peers.filter(({ gid }) => members.includes(gid));
        const active = found.filter(({ status }) => status !== 'revoked');
        const granted = active.flatMap(({ grants }) => grants.map(({ remote }) => remote));
        return found.length === members.length && active.length <= max_members && granted.every((remote) => tenants.includes(remote));
      }),
    'ID-67: a member is no peer, is one too many, or has a grant of a tenant of which its root says nothing',
  ],
);

const refused = (clause: string, why: string): Refusal => new Refusal(clause, 'verification_failed', 'payload', why);

/** Judges a gateway's own federation document, of which it may have used a version before (ID-27 to ID-29, ID-67). */
export async function useFederation(own: Gateway, value: Json, used: number, now: number): Promise<Federation> {
  const read = await own.verify(opened(value), 'federation', 'policy', now);
  const document = formed('payload', () => federation(read));
  if (document.iss !== own.gid) throw refused('ID-27', "the document is another gateway's");
  if (document.version < used) throw refused('ID-28', 'a later version was used before');
  for (const root of document.roots) await goodKeys(root.keys, refused);
  for (const { alg, kid, pub } of (document.operators ?? []).flatMap((one) => one.keys)) {
    if (alg === 'ed25519' && !ed25519.goodKey(pub)) throw refused('ID-2', `key ${kid} is not canonical or not of the prime order`);
    if (text64(await digest(utf8(`GFP-KEY-v1\n${alg}\n`), pub)) !== kid) throw refused('ID-1', `key ${kid} stands under another name`);
  }
  return document;
}
