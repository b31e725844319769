/** Catalogs, questions and decisions, as the gateway that gets them judges them (`spec/approvals.md`). */

import * as ed25519 from '../../src/ed25519.js';
import { type Bytes, digest, type Envelope, join, type Json, Malformed, read, text64, utf8, write } from '../../src/form.js';
import * as forms from './approval-forms.js';
import { holds } from './proofs.js';
import { CLOCK_SKEW_MS_MAX, formed, type Gateway, type Given, opened, Refusal } from './standing.js';

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

/** Refuses whatever does not hold with the one code that stands for all of it (APR-14, APR-53). */
async function refusing<T>(judged: Promise<T>): Promise<T> {
  try {
    return await judged;
  } catch (fault) {
    if (fault instanceof Refusal) throw refused(fault.clause, fault.message, fault.phase);
    throw fault;
  }
}

/** The issuer's clock may be ahead of ours; the end of a life is compared with our clock as it is. */
const alive = (begins: number, ends: number, now: number): boolean => begins <= now + CLOCK_SKEW_MS_MAX && now < ends;
const lasts = (begins: number, ends: number, most: number): boolean => ends - begins >= 1 && ends - begins <= most;
const sameTenants = (one: Tenants, two: Tenants): boolean => one.deciding === two.deciding && one.relying === two.relying;

/** Takes a catalog of a gateway and tenant, after the one that is kept (APR-1, APR-4). */
export async function takeCatalog(value: Given, from: Gateway, tenant: string, kept: Kept | null, now: number, phase = 'catalog') {
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
export const judgeAsk = (value: Json, exchange: Exchange, now: number): Promise<void> => refusing(askHolds(value, exchange, now));

async function askHolds(value: Json, { asking, asked, tenant, subject }: Exchange, now: number): Promise<void> {
  const payload = await asking.verify(opened(value), 'approval-request', 'request', now);
  const ask = formed('payload', () => forms.approvalRequest(payload));
  if (!lasts(ask.issued, ask.expires, APPROVAL_LIFE_MS_MAX)) throw refused('APR-14', 'the life is wrong', 'payload');
  const wrong = (why: string): Refusal => refused('APR-14', why, 'ask');
  if (ask.iss !== asking.gid || ask.aud !== asked) throw wrong('the request is not between these two gateways');
  if (!sameTenants(ask.tenant, tenant)) throw wrong("the tenants are not the exchange's");
  if (!alive(ask.issued, ask.expires, now)) throw wrong('the request has expired, or is of the future');
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
  /** The catalog that came with it. */
  readonly kept: Kept;
}

/** A decision that has its form. */
interface Opened {
  readonly approval: ReturnType<typeof forms.decision>['approval'];
  readonly catalog: Envelope;
  readonly credential: Envelope;
}

/** APR-52. */
function openedDecision(value: Json): Opened {
  try {
    const { approval, catalog, credential } = forms.decision(value);
    return { approval, catalog: opened(catalog), credential: opened(credential) };
  } catch (fault) {
    if (fault instanceof Malformed || fault instanceof Refusal) throw new Refusal('APR-52', 'malformed', 'envelope', fault.message);
    throw fault;
  }
}

const PROOFS = { file: 'APR-19', ssh: 'APR-20', ssh_sk: 'APR-20', webauthn: 'APR-21' } as const;

/** An approval request of the relying gateway's own, and by what decisions on it are judged. */
export class Question {
  private constructor(
    readonly request: forms.ApprovalRequest,
    readonly digest: string,
    readonly deciding: Gateway,
    readonly projections: readonly forms.Projection[],
    public kept: Kept | null,
  ) {}

  static async of(value: Json, relying: Gateway, deciding: Gateway, projections: Json[], kept: Kept | null, now: number) {
    const envelope = opened(value);
    const payload = await relying.verify(envelope, 'approval-request', 'request', now);
    const request = formed('payload', () => forms.approvalRequest(payload));
    const digest = text64(await envelope.digest());
    return new Question(request, digest, deciding, projections.map(forms.projection), kept);
  }

  /** APR-25. */
  ended(now: number): boolean {
    return now >= this.request.expires;
  }

  /** Judges a decision as the relying gateway does. */
  async judge(value: Json, now: number): Promise<Counted> {
    const decision = openedDecision(value);
    if (this.ended(now)) throw new Refusal('APR-25', 'already_resolved', 'approval', 'the request has ended');
    return refusing(this.#holds(decision, now));
  }

  async #holds(decision: Opened, now: number): Promise<Counted> {
    this.deciding.fresh(now);
    const { payload, payloadType, proof } = decision.approval;
    const credential = await this.#credential(decision.credential, now);
    const key = credential.keys.find(({ kid }) => kid === proof.kid);
    if (key === undefined) throw refused('APR-12', 'the credential does not list the signing key');
    if (this.deciding.revoked.has(key.kid)) throw refused('APR-12', 'the signing key is revoked');
    const pae = join(utf8(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `), payload);
    if (!(await holds(proof, key, pae))) throw refused(PROOFS[key.kind], 'the proof does not hold', 'signature');

    const said = formed('json', () => read(payload), 'ENV-16');
    const approval = formed('payload', () => forms.approval(said));
    this.#credited(approval, credential, text64(await decision.credential.digest()), now);
    this.#answers(approval);
    this.#inTime(approval, credential, now);
    const { gateway, principal } = this.request.requester;
    if (gateway === approval.iss && principal === approval.sub) throw refused('APR-22', 'the requester decides');
    const through = await this.#through(decision.catalog, approval, key, now);
    return { approves: approval.decision === 'approve', person: approval.sub, key: key.kid, ...through };
  }

  /** Verifies a credential, and that each of its keys is good and stands under its own name (APR-11, ID-1, ID-2). */
  async #credential(envelope: Envelope, now: number): Promise<forms.Credential> {
    const payload = await this.deciding.verify(envelope, 'operator-credential', 'operator-ca', now);
    const credential = formed('payload', () => forms.credential(payload));
    for (const { alg, kid, pub } of credential.keys) {
      if (text64(await digest(utf8(`GFP-KEY-v1\n${alg}\n`), pub)) !== kid) throw refused('ID-1', 'a key stands under another name', 'payload');
      if (alg === 'ed25519' && !ed25519.goodKey(pub)) throw refused('ID-2', 'a key is not good', 'payload');
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

  /** APR-18. */
  #inTime({ iat, exp }: forms.Approval, credential: forms.Credential, now: number): void {
    if (!alive(iat, exp, now)) throw refused('APR-18', 'the approval is outside its life');
    if (!lasts(iat, exp, APPROVAL_LIFE_MS_MAX)) throw refused('APR-18', 'the approval lives too long');
    if (iat + CLOCK_SKEW_MS_MAX < Math.max(this.request.issued, credential.issued))
      throw refused('APR-18', 'the approval is older than its request or its credential');
  }

  /** APR-6 to APR-8 and APR-40: the projection and the catalog's entry through which an approval counts. */
  async #through(envelope: Envelope, { tenant, scope, iat, exp }: forms.Approval, key: forms.OperatorKey, now: number) {
    const { catalog, kept } = await takeCatalog(envelope, this.deciding, tenant.deciding, this.kept, now, 'projection');
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
    return { signers: Math.max(min_signers, entry.assurance.min_signers), kept };
  }
}

/** What a decision comes to, or undefined where it is refused. */
async function judged(question: Question, decision: Json, now: number): Promise<Counted | undefined> {
  return question.judge(decision, now).catch((fault: unknown) => {
    if (!(fault instanceof Refusal)) throw fault;
    return undefined;
  });
}

/** Counts decisions in the order in which they arrive (APR-9, APR-22, APR-23, APR-25), and refuses what is not approved. */
export async function tally(question: Question, decisions: { [member: string]: Json }[], now: number): Promise<'approved'> {
  const ends = (clause: string, why: string, verdict: string): Refusal => new Refusal(clause, null, 'count', why, verdict);
  if (question.ended(now)) throw ends('APR-25', 'the request has ended', 'denied');
  const kept: { [member: string]: Json }[] = [];
  for (const decision of decisions) {
    const counted = await judged(question, decision, now);
    if (counted === undefined) continue;
    if (!counted.approves) throw ends('APR-23', 'somebody denied it', 'denied');
    // What was counted before is judged again, by the catalog that is the newest now.
    const again = kept.map((old) => judged(question, { ...old, catalog: decision['catalog'] ?? null }, now));
    const before = (await Promise.all(again)).filter((old) => old !== undefined);
    if (before.some(({ person, key }) => person === counted.person || key === counted.key)) continue;
    kept.push(decision);
    question.kept = counted.kept;
    const needed = Math.max(question.request.quorum, ...[counted, ...before].map(({ signers }) => signers));
    if (before.length + 1 >= needed) return 'approved';
  }
  throw ends('APR-9', 'too few approved', 'undecided');
}
