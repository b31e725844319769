/** What the documents of scopes and approvals may hold: members, types, names and limits (ENV-19, ID-3). */

import { anything, ascends, gateway, has, integer, list, object, one, oneOf, run, text } from '../../src/documents.js';
import { type Bytes, Malformed, raw64 } from '../../src/form.js';
import { type Check, digest, tenant, where } from './forms.js';

const between = (low: number, high: number): Check<number> => where(integer(low), [(value) => value <= high, `beyond ${high}`]);
const sorted = (values: Check<readonly string[]>): Check<readonly string[]> => where(values, [ascends, 'the entries do not ascend']);

/** So many bytes, as base64url. */
const raw =
  (length: number): Check<Bytes> =>
  (value) => {
    const bytes = raw64(text()(value));
    if (bytes.length !== length) throw new Malformed(`not ${length} bytes`);
    return bytes;
  };

/** Bytes in the one spelling of standard base64 (ENV-3). */
const base64: Check<Bytes> = (value) => {
  const spelled = text()(value);
  const bytes = new Uint8Array(Buffer.from(spelled, 'base64'));
  if (Buffer.from(bytes).toString('base64') !== spelled) throw new Malformed('not the one spelling of base64');
  return bytes;
};

/** An object whose other members follow from one of them. */
const by =
  <T extends { readonly [name: string]: Check<unknown> }>(member: string, forms: T): Check<ReturnType<T[keyof T]>> =>
  (value) => {
    const name = oneOf(...Object.keys(forms))(object(value)[member]);
    return forms[name]?.(value) as ReturnType<T[keyof T]>;
  };

const time = integer();
const DAY_MS = 86_400_000;
export const scopeName = text(1, 64, /^[a-z0-9][a-z0-9._-]*$/);
export const operatorName = text(1, 64, /^[a-z0-9][a-z0-9._@-]*$/);
const tenants = has({ deciding: tenant, relying: tenant });
const methods = sorted(list(oneOf('file', 'ssh', 'ssh_sk', 'webauthn'), 1));
const subjectKind = text(1, 32, /^[a-z][a-z0-9_-]*$/);
const signers = between(1, 16);

export const catalog = where(
  has({
    expires: time,
    iss: gateway,
    issued: time,
    scopes: list(
      has(
        { assurance: has({ methods, min_signers: signers }), description: text(1, 512), name: scopeName },
        { deprecated: oneOf(true) },
      ),
      0,
      64,
    ),
    tenant,
    v: one,
    version: integer(1),
  }),
  [({ scopes }) => ascends(scopes.map(({ name }) => name)), 'APR-1: the scopes do not ascend'],
  [({ issued, expires }) => expires > issued && expires - issued <= DAY_MS, 'APR-1: the life is wrong'],
);

export type Projection = ReturnType<typeof projection>;
export const projection = has({
  constraints: has({
    max_ttl_ms: integer(1),
    methods,
    min_signers: signers,
    observed: oneOf(true, false),
    subject_kinds: sorted(list(subjectKind, 1)),
  }),
  entry: digest,
  exp: time,
  local: tenant,
  local_scope: scopeName,
  nbf: time,
  remote: tenant,
  remote_scope: scopeName,
});

const ed25519 = { alg: oneOf('ed25519'), kid: digest, pub: raw(32) };
const passkey = { kid: digest, kind: oneOf('webauthn'), origins: sorted(list(text(1, 256), 1, 8)), rp_id: text(1, 256) };
const point = where(raw(65), [(bytes) => bytes[0] === 4, 'not an uncompressed point']);

/** A key with which a person decides: its members follow from its kind, and a passkey's from its algorithm. */
export type OperatorKey = ReturnType<typeof operatorKey>;
export const operatorKey = by('kind', {
  file: has({ ...ed25519, kind: oneOf('file') }),
  ssh: has({ ...ed25519, kind: oneOf('ssh') }),
  ssh_sk: has({ ...ed25519, application: text(1, 256), kind: oneOf('ssh_sk') }),
  webauthn: by('alg', { ed25519: has({ ...ed25519, ...passkey }), es256: has({ ...passkey, alg: oneOf('es256'), pub: point }) }),
});

export type Credential = ReturnType<typeof credential>;
export const credential = has({
  expires: time,
  iss: gateway,
  issued: time,
  keys: where(list(operatorKey, 1, 8), [(keys) => ascends(keys.map(({ kid }) => kid)), 'the keys do not ascend']),
  scopes: sorted(list(scopeName, 1, 64)),
  sub: operatorName,
  tenant,
  v: one,
});

export type ApprovalRequest = ReturnType<typeof approvalRequest>;
export const approvalRequest = has(
  {
    aud: gateway,
    expires: time,
    id: text(30, 30, /^apr-[a-z2-7]{26}$/),
    iss: gateway,
    issued: time,
    quorum: between(1, 16),
    requester: has({ gateway, principal: text(1, 256) }),
    scope: scopeName,
    scopes: sorted(list(scopeName, 1, 64)),
    subject: has({
      binding: oneOf('exact', 'observed'),
      digest,
      kind: subjectKind,
      media: text(1, 128),
      size: between(1, 65_536),
    }),
    tenant: tenants,
    v: one,
  },
  { run },
);

export type Approval = ReturnType<typeof approval>;
export const approval = has({
  aud: gateway,
  credential: digest,
  decision: oneOf('approve', 'deny'),
  exp: time,
  iat: time,
  iss: gateway,
  jti: text(22, 64, /^[A-Za-z0-9_-]*$/),
  max_uses: one,
  request: digest,
  scope: scopeName,
  sub: operatorName,
  subject: digest,
  tenant: tenants,
  v: one,
});

const signature = { kid: digest, sig: base64 };

/** How an operator's key signed. */
export type Proof = ReturnType<typeof proof>;
const proof = by('kind', {
  file: has({ ...signature, kind: oneOf('file') }),
  ssh: has({ ...signature, kind: oneOf('ssh') }),
  ssh_sk: has({ ...signature, kind: oneOf('ssh_sk') }),
  webauthn: has({ ...signature, authenticator_data: base64, client_data: base64, kind: oneOf('webauthn') }),
});

export const APPROVAL = 'application/vnd.gfp.approval.v1+json';

const parts = (of: Proof): Bytes[] => (of.kind === 'webauthn' ? [of.sig, of.authenticator_data, of.client_data] : [of.sig]);
const proofSize = (of: Proof): number => parts(of).reduce((size, part) => size + part.length, 0);

/** An approval with all that is needed to judge it (APR-52). */
export const decision = has({
  approval: where(
    has({ payload: base64, payloadType: oneOf(APPROVAL), proof }),
    [({ payload }) => payload.length <= 65_536, 'the payload is too large'],
    [(signed) => proofSize(signed.proof) <= 8192, 'the proof is too large'],
  ),
  catalog: anything,
  credential: anything,
});
