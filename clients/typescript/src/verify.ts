/**
 * Judges a transcript offline, by its bytes and one pinned gateway id (STR-35 to STR-37).
 *
 * Written from `spec/` alone. Nothing here asks a network or a clock, and nothing trusts a bridge.
 */

import * as form from './documents.js';
import * as ed25519 from './ed25519.js';
import { type Bytes, Envelope, type Json, Malformed, Refused } from './form.js';
import { digest, gatewayId, isObject, join, keyId, parse, raw64, read, same, text64, utf8, write } from './form.js';

const LINE_BYTES_MAX = 1_407_320;
const FRAME_BYTES_MAX = 262_144;
const ROOT_LIFE_MS_MAX = 400 * 86_400_000;
const STATUS_LIFE_MS_MAX = 86_400_000;

const EXITS = { verified: 0, tampered: 2, not_the_pinned_signer: 3, unreadable: 4, unfinished: 5 } as const;

/** What a transcript is worth, and what it tells as far as it verified. */
export interface Verdict {
  verdict: keyof typeof EXITS;
  /** The exit code of `landbridge verify` for this verdict (STR-36). */
  exit: number;
  /** The first line that does not hold, from 1, and why. */
  line: number | null;
  what: string | null;
  run: string | null;
  caller: string | null;
  executor: string | null;
  tenant: { readonly src: string; readonly dst: string } | null;
  /** How many frames a seal covers. */
  frames: number;
  /** The sealed terminal's; or `lost`, where the caller's receipt says that it ended the run itself. */
  outcome: string | null;
  sealedAt: number | null;
  warnings: string[];
}

type Keys = Map<string, Bytes>;
type Frame = { seq: number; event: string; payload: { [name: string]: Json } };

class NotALine extends Error {}
class OtherGateway extends Error {}

/** One gateway: its chain of roots and its statuses. Exported for the tests only. */
export class Side {
  readonly roots: { root: form.Root; digest: Bytes }[] = [];
  readonly revoked = new Map<string, number>();
  #status: form.Status | undefined;

  constructor(readonly gid: string) {}

  /** The keys of a role that are good at a time (ENV-13). */
  static keys(root: form.Root, role: form.Role, at: number): Keys {
    const keys: Keys = new Map();
    for (const kid of root.roles[role].keyids) {
      const key = root.keys.get(kid);
      if (key !== undefined && key.nbf <= at && at < key.exp) keys.set(kid, raw64(key.pub));
    }
    return keys;
  }

  async verify(envelope: Envelope, version: number, role: form.Role, at: number): Promise<void> {
    const root = this.roots[version - 1]?.root;
    if (root === undefined) throw new Refused(`there is no root ${version} in the lines before`);
    await envelope.verify(Side.keys(root, role, at), root.roles[role].threshold);
  }

  /** Walks one root further (ID-1, ID-2, ID-4 to ID-8). */
  async takeRoot(envelope: Envelope): Promise<void> {
    const root = form.root(read(envelope.payload));
    await wellMade(root);
    const before = this.roots.at(-1);
    if (root.version !== this.roots.length + 1 || (root.prev !== undefined) !== (before !== undefined))
      throw new Refused('the version is not the next one');
    const own = Side.keys(root, 'root', root.issued);
    const threshold = root.roles.root.threshold;
    const made = await envelope.digest();
    if (before === undefined) {
      if (gatewayId(made) !== this.gid) throw new Refused('the first root does not make the gateway id');
      await envelope.verify(own, threshold);
    } else {
      if (!same(raw64(root.prev ?? ''), before.digest) || root.issued < before.root.issued)
        throw new Refused('the root does not follow the one before');
      const old = Side.keys(before.root, 'root', root.issued);
      await envelope.verify(new Map([...old, ...own]), 1);
      const count = (keys: Keys): number => envelope.signatures.filter(([kid]) => keys.has(kid)).length;
      if (count(old) < before.root.roles.root.threshold || count(own) < threshold)
        throw new Refused('too few root keys signed, of the former or of the new ones');
    }
    this.roots.push({ root, digest: made });
  }

  /** ID-15, ID-17 and ID-18, as far as they need no clock. */
  async takeStatus(envelope: Envelope): Promise<void> {
    const status = form.status(read(envelope.payload));
    if (!form.ascends(status.revoked.map((entry) => entry.kid))) throw new Malformed('the revocations do not ascend');
    if (status.iss !== this.gid) throw new Refused("the status is another gateway's");
    await this.verify(envelope, status.root_version, 'status', status.issued);
    const named = this.roots[status.root_version - 1];
    if (named === undefined || !same(raw64(status.root), named.digest)) throw new Refused('the status names another root');
    const life = status.expires - status.issued;
    if (life < 1 || life > STATUS_LIFE_MS_MAX || status.seq !== status.issued)
      throw new Malformed("the status's life or number is wrong");
    if (status.refresh_ms < 1 || status.refresh_ms > life || status.incarnation.since > status.issued)
      throw new Malformed('the status is renewed after its life, or its incarnation begins after it');
    const before = this.#status;
    if (
      before !== undefined &&
      (status.seq <= before.seq ||
        status.incarnation.n < before.incarnation.n ||
        status.root_version < before.root_version)
    )
      throw new Refused('the status goes back');
    this.#status = status;
    for (const { kid, since } of status.revoked) if (!this.revoked.has(kid)) this.revoked.set(kid, since);
  }
}

/** ID-1, ID-2, ID-7, ID-8. */
async function wellMade(root: form.Root): Promise<void> {
  const life = root.expires - root.issued;
  if (life < 1 || life > ROOT_LIFE_MS_MAX) throw new Refused("a root's life is wrong");
  const roles = Object.values(root.roles).filter((role) => role !== undefined);
  const named = roles.flatMap((role) => role.keyids);
  if (new Set(named).size !== named.length || named.length !== root.keys.size || named.some((kid) => !root.keys.has(kid)))
    throw new Refused('a key stands in two roles, or in none');
  if (roles.some((role) => role.threshold < 1 || role.threshold > role.keyids.length))
    throw new Refused('a threshold is wrong');
  for (const [kid, key] of root.keys) {
    const raw = raw64(key.pub);
    if ((await keyId(raw)) !== kid || !ed25519.goodKey(raw))
      throw new Refused(`key ${kid} is not good, or not under its own name`);
    if (key.exp > root.expires || key.nbf >= key.exp) throw new Refused(`key ${kid} outlives the root, or lives not at all`);
  }
}

const PLACES = ['header', 'caller', 'executor', "caller's", "executor's", 'request', 'accept', 'stream', 'receipt'];
const plain = { type: form.anything, value: form.anything };
const sided = form.has({ ...plain, of: form.oneOf('caller', 'executor') });
const headed = form.has({ caller: form.gateway, executor: form.gateway, type: form.anything, v: form.one }, { run: form.run });

/** The lines so far, and what the next one has to fit. */
class Reading {
  readonly verdict: Verdict = {
    verdict: 'unfinished', exit: 5, line: null, what: null, run: null, caller: null, executor: null,
    tenant: null, frames: 0, outcome: null, sealedAt: null, warnings: [],
  };
  #place = -1;
  #caller = new Side('');
  #executor = new Side('');
  #request: ReturnType<typeof form.request> | undefined;
  #start: ReturnType<typeof form.start> | undefined;
  #print: Bytes = utf8('');
  #accept: ReturnType<typeof form.accept> | undefined;
  #accepted: Bytes = utf8('');
  #head: Bytes = utf8('');
  #count = 0;
  #outcome: string | undefined;
  readonly #seals: string[][] = [];

  constructor(readonly pin: string) {}

  async take(line: Bytes): Promise<void> {
    if (line.length > LINE_BYTES_MAX) throw new NotALine('the line is too long');
    const { value, kind, place, of, envelope, frame } = this.#shape(line);
    this.#order(kind, place);
    if (place > 2 && this.#place <= 2 && this.#place >= 0) this.judgePin();
    this.#place = place;
    if (frame !== undefined) return this.#frame(utf8(value.value as string), frame);
    if (envelope === undefined) return this.#header(value);
    const side = of === 'caller' ? this.#caller : this.#executor;
    if (kind === 'root') return side.takeRoot(envelope);
    if (kind === 'status') return side.takeStatus(envelope);
    if (kind === 'request') return this.#takeRequest(envelope);
    if (kind === 'accept') return this.#takeAccept(envelope);
    return kind === 'seal' ? this.#seal(envelope) : this.#receipt(envelope);
  }

  judgePin(): void {
    if (this.#executor.roots.length > 0 && this.#executor.gid !== this.pin) throw new OtherGateway(this.#executor.gid);
  }

  /** What a file is worth whose every line holds. */
  finish(): void {
    const { verdict } = this;
    this.judgePin();
    if (verdict.sealedAt !== null) verdict.verdict = 'verified';
    for (const [kid, since] of [...this.#executor.revoked].sort()) {
      const seals = this.#seals.filter((kids) => kids.includes(kid)).length;
      if (seals > 0) verdict.warnings.push(`${seals} seals by key ${kid}, which is revoked since ${since}`);
    }
    if (this.#place < 8) verdict.warnings.push("the caller's receipt is missing");
    if (this.#count !== verdict.frames) verdict.warnings.push('no seal covers the last frames');
  }

  /** Reads a line by its form alone. */
  #shape(line: Bytes) {
    try {
      const value = form.object(read(line));
      const kind = typeof value.type === 'string' ? value.type : '';
      let [of, place] = ['', PLACES.indexOf(kind)];
      if (kind === 'header') {
        headed(value);
        return { value, kind, place, of };
      }
      if (kind === 'root' || kind === 'status') {
        of = sided(value).of;
        place = PLACES.indexOf(kind === 'root' ? of : `${of}'s`);
      } else if (['request', 'accept', 'frame', 'seal', 'receipt'].includes(kind)) {
        form.has(plain)(value);
        if (kind === 'frame' || kind === 'seal') place = PLACES.indexOf('stream');
      } else throw new Malformed('no such line');
      if (kind === 'frame') return { value, kind, place, of, frame: readFrame(value.value) };
      const envelope = Envelope.of(value.value ?? null);
      if (envelope.kind !== kind) throw new Malformed(`a ${envelope.kind} in the place of a ${kind}`);
      return { value, kind, place, of, envelope };
    } catch (fault) {
      throw fault instanceof Malformed ? new NotALine(fault.message) : fault;
    }
  }

  #order(kind: string, place: number): void {
    if ((place < this.#place && kind !== 'header') || (kind === 'header') !== this.#place < 0)
      throw new NotALine('a line out of order');
    if (place === this.#place && ['request', 'accept', 'receipt'].includes(kind))
      throw new NotALine('a line that stands once');
    const needed = { 0: [], 1: [], 2: [], 3: [this.#caller], 4: [this.#executor] }[place] ?? [this.#caller, this.#executor];
    if (needed.some((side) => side.roots.length === 0)) throw new NotALine('a line before the roots');
    if ((place > 5 && this.#request === undefined) || (place === 7 && this.#accept === undefined))
      throw new NotALine('a line before the request, or before the accept');
    if (kind === 'seal' && this.#count === this.verdict.frames) throw new NotALine('a seal that covers no new frame');
  }

  #header(value: Json): void {
    const header = headed(value);
    this.#caller = new Side(header.caller);
    this.#executor = new Side(header.executor);
    Object.assign(this.verdict, { caller: header.caller, executor: header.executor, run: header.run ?? null });
  }

  async #takeRequest(envelope: Envelope): Promise<void> {
    const request = form.request(read(envelope.payload));
    if (request.iss !== this.#caller.gid || request.aud !== this.#executor.gid)
      throw new Refused('the request is of or for another gateway');
    if (request.op !== 'start') throw new Malformed('not a start');
    const body = form.start(request.body);
    const works = [body.prompt, body.toolCall, body.approvalGrant, body.approvalRequest];
    if (works.filter((work) => work !== undefined).length !== 1) throw new Malformed('not exactly one kind of work');
    const { mode, session } = body.agentTarget;
    if ((session !== undefined) !== (mode !== 'session')) throw new Malformed('a session that does not fit its mode');
    if (body.toolCall !== undefined && (mode !== 'session' || !isObject(body.toolCall.args)))
      throw new Malformed('a tool call in a conversation, or arguments that are not one object');
    await this.#underAnyRoot(envelope, request.iat);
    this.#request = request;
    this.#start = body;
    this.#print = await digest(utf8('GFP-BODY-v1\n'), utf8(write(request.body)));
    this.verdict.tenant = request.tenant;
  }

  /** A request names no root; any of the chain in which its key has the role may have been the one. */
  async #underAnyRoot(envelope: Envelope, at: number): Promise<void> {
    let why: unknown;
    for (let version = this.#caller.roots.length; version > 0; version--) {
      try {
        return await this.#caller.verify(envelope, version, 'request', at);
      } catch (fault) {
        why = fault;
      }
    }
    throw why;
  }

  async #takeAccept(envelope: Envelope): Promise<void> {
    const accept = form.accept(read(envelope.payload));
    const request = this.#request;
    if (request === undefined) throw new NotALine('no request');
    // An accept states no time; it is judged at that of the request which it answers.
    await this.#executor.verify(envelope, accept.root_version, 'stream', request.iat);
    const [mine, its] = [accept.tenant, request.tenant];
    if (accept.aud !== request.iss || accept.iss !== request.aud || mine.src !== its.src || mine.dst !== its.dst)
      throw new Refused('the accept is not between these two');
    if (accept.key !== this.#start?.idempotencyKey || !same(raw64(accept.print), this.#print))
      throw new Refused('the accept is of another start');
    if (!request.proto.includes(accept.proto) || accept.run !== this.verdict.run)
      throw new Refused('the accept names another protocol, or another run than the header');
    this.#accept = accept;
    this.#accepted = await envelope.digest();
    this.#head = await digest(utf8('GFP-STREAM-v1\n'), this.#accepted);
  }

  async #frame(line: Bytes, frame: Frame): Promise<void> {
    if (frame.seq !== this.#count + 1) throw new Refused(`expected frame ${this.#count + 1}, got ${frame.seq}`);
    if (this.#outcome !== undefined) throw new Refused('a frame after the terminal');
    if (frame.event === 'terminal') this.#outcome = form.terminal(frame.payload).outcome;
    this.#count++;
    const number = new Uint8Array(8);
    new DataView(number.buffer).setBigUint64(0, BigInt(this.#count));
    const leaf = await digest(utf8('GFP-LEAF-v1\n'), line);
    this.#head = await digest(utf8('GFP-CHAIN-v1\n'), this.#head, number, leaf);
  }

  async #seal(envelope: Envelope): Promise<void> {
    const seal = form.seal(read(envelope.payload));
    await this.#executor.verify(envelope, seal.root_version, 'stream', seal.t);
    if (!same(raw64(seal.accept), this.#accepted) || seal.run !== this.#accept?.run)
      throw new Refused('the seal belongs to another stream');
    if (seal.seq !== this.#count || !same(raw64(seal.head), this.#head))
      throw new Refused(`the seal covers other bytes than the ${this.#count} frames before it`);
    if (seal.final !== (this.#outcome !== undefined))
      throw new Refused('the seal is final where the frame is not, or the reverse');
    this.verdict.frames = this.#count;
    this.#seals.push(envelope.signatures.map(([kid]) => kid));
    if (this.#outcome !== undefined) Object.assign(this.verdict, { outcome: this.#outcome, sealedAt: seal.t });
  }

  async #receipt(envelope: Envelope): Promise<void> {
    if (this.#count !== this.verdict.frames) throw new Refused('frames that no seal covers stand before the receipt');
    const receipt = form.receipt(read(envelope.payload));
    await this.#caller.verify(envelope, receipt.root_version, 'request', receipt.t);
    if (receipt.aud !== this.#executor.gid || receipt.iss !== this.#caller.gid)
      throw new Refused('the receipt is not between these two');
    const run = this.#accept?.run;
    const [accept, head] = run === undefined ? [] : [text64(this.#accepted), text64(this.#head)];
    if (receipt.accept !== accept || receipt.head !== head || receipt.run !== run || receipt.seq !== this.#count)
      throw new Refused('the receipt tells of another run');
    if (receipt.key !== this.#start?.idempotencyKey) throw new Refused('the receipt tells of another key');
    if (receipt.lost !== undefined && this.#outcome !== undefined) throw new Refused('the receipt tells of another end');
    if (receipt.lost !== undefined) this.verdict.outcome = 'lost';
  }
}

/** Reads a frame: `seq`, `event`, `payload` in this order, compact. */
function readFrame(line: Json | undefined): Frame {
  if (typeof line !== 'string' || utf8(line).length > FRAME_BYTES_MAX) throw new Malformed('not a frame');
  // The bound on depth is the payload's, and the frame is one level around it.
  const frame = form.has({ seq: form.integer(), event: form.text(), payload: form.object })(parse(line, 1));
  const { seq, event, payload } = frame;
  if (line !== `{"seq":${seq},"event":${JSON.stringify(event)},"payload":${write(payload)}}`)
    throw new Malformed('a frame is a compact object of seq, event and payload');
  return frame;
}

/**
 * Judges a transcript against the gateway that must have sealed it.
 *
 * Throws a RangeError when `pin` is not a gateway id. Everything else is said by the verdict.
 */
export async function verify(transcript: string | Uint8Array, pin: string): Promise<Verdict> {
  if (!/^gw1-[a-z2-7]{52}$/.test(pin)) throw new RangeError('the pin is not a gateway id');
  const data = typeof transcript === 'string' ? utf8(transcript) : join(new Uint8Array(transcript));
  const reading = new Reading(pin);
  const { verdict } = reading;
  let [line, from] = [1, 0];
  try {
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, from), line++) {
      await reading.take(data.subarray(from, end));
      from = end + 1;
    }
    if (from < data.length || from === 0) throw new NotALine(from ? 'the last line has no end' : 'there is no line');
    reading.finish();
  } catch (fault) {
    if (fault instanceof OtherGateway)
      Object.assign(verdict, { verdict: 'not_the_pinned_signer', what: `signed by ${fault.message}` });
    else if (fault instanceof NotALine || fault instanceof Malformed || fault instanceof Refused)
      Object.assign(verdict, { verdict: fault instanceof NotALine ? 'unreadable' : 'tampered', line, what: fault.message });
    else throw fault;
  }
  verdict.exit = EXITS[verdict.verdict];
  return verdict;
}
