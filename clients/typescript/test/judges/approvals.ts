/** Catalogs, questions and decisions, as the gateway that gets them judges them (`spec/approvals.md`). */

import * as ed25519 from '../../src/ed25519.js';
import { type Bytes, digest, type Envelope, join, type Json, read, text64, utf8, write } from '../../src/form.js';
import * as forms from './approval-forms.js';
import { holds } from './proofs.js';
import { CLOCK_SKEW_MS_MAX, formed, type Gateway, opened, Refusal } from './standing.js';

const APPROVAL_LIFE_MS_MAX = 86_400_000;
const CREDENTIAL_LIFE_MS_MAX = 86_400_000;

/** What is kept of the newest catalog of a gateway and tenant. */
export interface Kept {
  readonly version: number;
  readonly digest: string;
}

type Tenants = forms.Approval['tenant'];

const refused = (clause: string, why: string, phase = 'approval'): Refusal => new Refusal(clause, 'approval_refused', phase, why);
const notCounted = (clause: string, why: string): Refusal => refused(clause, why, 'projection');

/** Verifies what a clause refuses with `approval_refused` where it does not verify. */
async function verified<T>(clause: string, verifies: Promise<T>): Promise<T> {
  try {
    return await verifies;
  } catch (fault) {
    if (!(fault instanceof Refusal) || fault.code !== 'verification_failed') throw fault;
    throw refused(clause, fault.message, fault.phase);
  }
}

/** The issuer's clock may be ahead of ours; the end of a life is compared with our clock as it is. */
const alive = (begins: number, ends: number, now: number): boolean => begins <= now + CLOCK_SKEW_MS_MAX && now < ends;
const lasts = (begins: number, ends: number, most: number): boolean => ends - begins >= 1 && ends - begins <= most;
const sameTenants = (one: Tenants, two: Tenants): boolean => one.deciding === two.deciding && one.relying === two.relying;

/** Takes a catalog of a gateway and tenant, after the one that is kept (APR-1, APR-4). */
export async function takeCatalog(value: Json, from: Gateway, tenant: string, kept: Kept | null, now: number, phase = 'catalog') {
  const envelope = opened(value);
  const payload = await from.verify(envelope, 'catalog', 'catalog', now);
  const catalog = formed('payload', () => forms.catalog(payload));
  const digest = text64(await envelope.digest());
  const wrong = (why: string): Refusal => new Refusal('APR-4', 'verification_failed', phase, why);
  if (catalog.iss !== from.gid || catalog.tenant !== tenant) throw wrong('the catalog is of another gateway or tenant');
  if (kept !== null && catalog.version < kept.version) throw wrong('a later catalog is kept');
  if (kept !== null && catalog.version === kept.version && digest !== kept.digest) throw wrong('two catalogs have one version');
  return { catalog, kept: { version: catalog.version, digest } };
}

/** What the deciding gateway knows of an exchange in which it is asked. */
export interface Exchange {
  readonly asking: Gateway;
  /** The id of the gateway that is asked. */
  readonly asked: string;
  readonly tenant: Tenants;
  readonly subject: Bytes;
}

/** Judges an approval request as the deciding gateway does (APR-14). */
export async function judgeAsk(value: Json, { asking, asked, tenant, subject }: Exchange, now: number): Promise<void> {
  const payload = await verified('APR-14', asking.verify(opened(value), 'approval-request', 'request', now));
  const ask = formed('payload', () => forms.approvalRequest(payload));
  if (!lasts(ask.issued, ask.expires, APPROVAL_LIFE_MS_MAX)) throw refused('APR-14', 'the life is wrong', 'payload');
  const wrong = (why: string): Refusal => refused('APR-14', why, 'ask');
  if (ask.iss !== asking.gid || ask.aud !== asked) throw wrong('the request is not between these two gateways');
  if (!sameTenants(ask.tenant, tenant)) throw wrong("the tenants are not the exchange's");
  if (now >= ask.expires) throw wrong('the request has expired');
  if (ask.subject.size !== subject.length) throw wrong('the subject has another size');
  if (ask.subject.digest !== text64(await digest(utf8('GFP-SUBJECT-v1\n'), subject))) throw wrong('the subject is another');
}

/** A decision that was judged and counts. */
export interface Counted {
  readonly approves: boolean;
  readonly person: string;
  readonly key: string;
  /** How many the projection and the catalog's entry need, through which it counts (APR-9). */
  readonly signers: number;
}

const PROOFS = { file: 'APR-19', ssh: 'APR-20', ssh_sk: 'APR-20', webauthn: 'APR-21' } as const;

/** An approval request of the relying gateway's own, and by what decisions on it are judged. */
export class Question {
  private constructor(
    readonly request: forms.ApprovalRequest,
    readonly digest: string,
    readonly deciding: Gateway,
    readonly projections: readonly forms.Projection[],
    private kept: Kept | null,
  ) {}

  static async of(value: Json, relying: Gateway, deciding: Gateway, projections: Json[], kept: Kept | null, now: number) {
    const envelope = opened(value);
    const payload = await relying.verify(envelope, 'approval-request', 'request', now);
    const request = formed('payload', () => forms.approvalRequest(payload));
    const digest = text64(await envelope.digest());
    return new Question(request, digest, deciding, projections.map(forms.projection), kept);
  }

  /** Judges a decision as the relying gateway does. */
  async judge(value: Json, now: number): Promise<Counted> {
    this.deciding.fresh(now);
    const decision = formed('envelope', () => forms.decision(value));
    const { payload, payloadType, proof } = decision.approval;
    const issued = opened(decision.credential);
    const credential = await this.#credential(issued, now);
    const key = credential.keys.find(({ kid }) => kid === proof.kid);
    if (key === undefined) throw refused('APR-12', 'the credential does not list the signing key');
    if (this.deciding.revoked.has(key.kid)) throw refused('APR-12', 'the signing key is revoked');
    const pae = join(utf8(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `), payload);
    if (!(await holds(proof, key, pae))) throw refused(PROOFS[key.kind], 'the proof does not hold', 'signature');

    const said = formed('json', () => read(payload), 'ENV-16');
    const approval = formed('payload', () => forms.approval(said));
    this.#credited(approval, credential, text64(await issued.digest()), now);
    this.#answers(approval);
    this.#inTime(approval, credential, now);
    const { gateway, principal } = this.request.requester;
    if (gateway === approval.iss && principal === approval.sub) throw refused('APR-22', 'the requester decides');
    const signers = await this.#through(decision.catalog, approval, key, now);
    return { approves: approval.decision === 'approve', person: approval.sub, key: key.kid, signers };
  }

  /** Verifies a credential, and that each of its keys is good and stands under its own name (APR-11, ID-1, ID-2). */
  async #credential(envelope: Envelope, now: number): Promise<forms.Credential> {
    const payload = await verified('APR-11', this.deciding.verify(envelope, 'operator-credential', 'operator-ca', now));
    const credential = formed('payload', () => forms.credential(payload));
    for (const { alg, kid, pub } of credential.keys) {
      if (text64(await digest(utf8(`GFP-KEY-v1\n${alg}\n`), pub)) !== kid) throw refused('ID-1', 'a key stands under another name');
      if (alg === 'ed25519' && !ed25519.goodKey(pub)) throw refused('ID-2', 'a key is not good');
    }
    return credential;
  }

  /** APR-11 and APR-12: whether the credential is that of the approval, good now, and lists its scope. */
  #credited(approval: forms.Approval, credential: forms.Credential, digest: string, now: number): void {
    const { iss, sub, tenant, issued, expires, scopes } = credential;
    if (approval.credential !== digest) throw refused('APR-11', 'the approval names another credential');
    if (iss !== approval.iss || sub !== approval.sub || tenant !== approval.tenant.deciding)
      throw refused('APR-11', 'the credential is of another gateway, person or tenant');
    if (!alive(issued, expires, now)) throw refused('APR-11', 'the credential is outside its life');
    if (!lasts(issued, expires, CREDENTIAL_LIFE_MS_MAX)) throw refused('APR-11', 'the credential lives too long');
    if (!scopes.includes(approval.scope)) throw refused('APR-12', 'the credential does not list the scope');
  }

  /** APR-17. */
  #answers({ iss, aud, tenant, request, subject, scope }: forms.Approval): void {
    const asked = this.request;
    if (iss !== asked.aud || aud !== asked.iss) throw refused('APR-17', 'the approval is not between these two gateways');
    if (!sameTenants(tenant, asked.tenant)) throw refused('APR-17', "the tenants are not the request's");
    if (request !== this.digest) throw refused('APR-17', 'the approval is on another request');
    if (subject !== asked.subject.digest) throw refused('APR-17', 'the approval is of another subject');
    if (!asked.scopes.includes(scope)) throw refused('APR-17', 'the scope was not asked for');
  }

  /** APR-18 and APR-25. */
  #inTime({ iat, exp }: forms.Approval, credential: forms.Credential, now: number): void {
    if (!alive(iat, exp, now)) throw refused('APR-18', 'the approval is outside its life');
    if (!lasts(iat, exp, APPROVAL_LIFE_MS_MAX)) throw refused('APR-18', 'the approval lives too long');
    if (iat + CLOCK_SKEW_MS_MAX < Math.max(this.request.issued, credential.issued))
      throw refused('APR-18', 'the approval is older than its request or its credential');
    if (now >= this.request.expires) throw refused('APR-25', 'the request has ended');
  }

  /** APR-6 to APR-8 and APR-40: the projection and the catalog's entry through which an approval counts. */
  async #through(value: Json, { tenant, scope, iat, exp }: forms.Approval, key: forms.OperatorKey, now: number): Promise<number> {
    const { catalog, kept } = await takeCatalog(value, this.deciding, tenant.deciding, this.kept, now, 'projection');
    this.kept = kept;
    if (!alive(catalog.issued, catalog.expires, now)) throw notCounted('APR-7', 'the catalog is outside its life');
    const projection = this.projections.find(
      ({ remote, remote_scope, local, local_scope }) =>
        sameTenants(tenant, { deciding: remote, relying: local }) && remote_scope === scope && local_scope === this.request.scope,
    );
    if (projection === undefined) throw notCounted('APR-6', 'no projection is for these tenants and scopes');
    const entry = catalog.scopes.find(({ name }) => name === scope);
    if (entry === undefined) throw notCounted('APR-7', 'the catalog does not have the scope');
    if (projection.entry !== text64(await digest(utf8('GFP-SCOPE-v1\n'), utf8(write(entry as unknown as Json)))))
      throw notCounted('APR-7', 'the projection is of another entry');

    const { max_ttl_ms, methods, min_signers, observed, subject_kinds } = projection.constraints;
    const { binding, kind } = this.request.subject;
    if (now < projection.nbf || now >= projection.exp) throw notCounted('APR-8', 'the projection is outside its life');
    if (!subject_kinds.includes(kind)) throw notCounted('APR-8', 'the projection is not for this kind of subject');
    if (binding === 'observed' && !observed) throw notCounted('APR-8', 'the projection is not for what was only observed');
    if (!methods.includes(key.kind)) throw notCounted('APR-8', 'the projection is not for this kind of key');
    if (exp - iat > max_ttl_ms) throw notCounted('APR-8', 'the approval lives longer than the projection allows');
    if (!entry.assurance.methods.includes(key.kind)) throw notCounted('APR-40', 'the scope is not exercised with this kind of key');
    return Math.max(min_signers, entry.assurance.min_signers);
  }
}

/** Counts decisions in the order in which they arrive (APR-9, APR-22, APR-23), and refuses what is not approved. */
export async function tally(question: Question, decisions: Json[], now: number): Promise<'approved'> {
  const [people, keys] = [new Set<string>(), new Set<string>()];
  let needed = question.request.quorum;
  for (const decision of decisions) {
    const counted = await question.judge(decision, now).catch((fault: unknown) => {
      if (!(fault instanceof Refusal)) throw fault;
    });
    if (counted === undefined) continue;
    if (!counted.approves) throw new Refusal('APR-23', null, 'count', 'somebody denied it', 'denied');
    if (people.has(counted.person) || keys.has(counted.key)) continue;
    people.add(counted.person);
    keys.add(counted.key);
    needed = Math.max(needed, counted.signers);
    if (people.size >= needed) return 'approved';
  }
  throw new Refusal('APR-9', null, 'count', `${people.size} of ${needed} approved`, 'undecided');
}
