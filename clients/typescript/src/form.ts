/** Bytes and their one spelling: control documents (ENV-16 to ENV-19), envelopes (ENV-1 to ENV-7), digests. */

import * as ed25519 from './ed25519.js';

export type Bytes = Uint8Array<ArrayBuffer>;
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const DEPTH_MAX = 16;
const SIGNATURES_MAX = 16;
const ENVELOPE_BYTES_MAX = 1_406_296;
const REQUEST_BYTES_MAX = 1_048_576;
const DOCUMENT_BYTES_MAX = 65_536;

const KINDS =
  'root status federation membership pairing admission request receipt accept seal answer problem catalog operator-credential approval-request approval';
const MEDIA = new Map(KINDS.split(' ').map((kind) => [`application/vnd.gfp.${kind}.v1+json`, kind]));

/** The bytes do not have the form that the contract gives. */
export class Malformed extends Error {}

/** The bytes have the form, and what they say does not hold. */
export class Refused extends Error {}

const encoder = new TextEncoder();
export const utf8 = (text: string): Bytes => encoder.encode(text);

export function join(...parts: Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const same = (one: Bytes, two: Bytes): boolean =>
  one.length === two.length && one.every((byte, at) => byte === two[at]);

/** SHA-256 over the parts, one after the other. */
export async function digest(...parts: Bytes[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', join(...parts)));
}

function base64(raw: Bytes): string {
  let text = '';
  for (let at = 0; at < raw.length; at += 8192) text += String.fromCharCode(...raw.subarray(at, at + 8192));
  return btoa(text);
}

/** The bytes of standard base64 in its one spelling. */
function standard64(text: Json | undefined): Bytes {
  if (typeof text !== 'string') throw new Malformed('base64 is a text');
  let raw: Bytes;
  try {
    raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Malformed('not base64');
  }
  if (base64(raw) !== text) throw new Malformed('not the one spelling of base64');
  return raw;
}

/** Base64url without padding: how digests and ids are written. */
export const text64 = (raw: Bytes): string =>
  base64(raw).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/** The bytes of a base64url text that has one spelling. */
export function raw64(text: string): Bytes {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new Malformed('not base64url');
  const padding = '='.repeat((4 - (text.length % 4)) % 4);
  return standard64(text.replaceAll('-', '+').replaceAll('_', '/') + padding);
}

/** The one spelling of a value: RFC 8785, for what control documents may hold. */
export function write(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${write(value[name] ?? null)}`).join(',')}}`;
}

function depth(text: string): number {
  let [now, deepest] = [0, 0];
  for (const [mark] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[[{]|[\]}]/gs)) {
    if (mark === '[' || mark === '{') deepest = Math.max(deepest, ++now);
    else if (mark === ']' || mark === '}') now--;
  }
  return deepest;
}

function holdsOnly(value: Json): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new Malformed('a number is not an integer');
  if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) throw new Malformed('half of a surrogate pair');
  if (value === null || typeof value !== 'object') return;
  for (const [name, one] of Object.entries(value)) {
    if (/[^\0-\x7f]/.test(name)) throw new Malformed("a member's name is not ASCII");
    holdsOnly(one);
  }
}

/** Reads JSON with integers only, bounded in depth. What `write` then gives differently is not canonical. */
export function parse(text: string, around = 0): Json {
  if (depth(text) > DEPTH_MAX + around) throw new Malformed('nested too deeply');
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw new Malformed('not JSON');
  }
  holdsOnly(value);
  return value;
}

export function decode(data: Bytes): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new Malformed('not UTF-8');
  }
}

/** Reads a control document. */
export function read(data: Bytes): Json {
  const text = decode(data);
  const value = parse(text);
  if (write(value) !== text) throw new Malformed('not canonical JSON');
  return value;
}

/** Half of a surrogate pair is no text in UTF-8, and a number beyond every double none that a tool can read. */
function plain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(value).every(([name, one]) => plain(name) && plain(one));
}

/** Tells whether a tool's arguments are the JSON text of one object, no member twice (REQ-40). */
export function isObject(text: string): boolean {
  if (depth(text) > DEPTH_MAX) return false;
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
    if (!plain(value)) return false;
  } catch {
    return false;
  }
  // JSON.parse keeps the last of two members of one name, so names are counted in the text.
  const open: (Set<string> | undefined)[] = [];
  for (const [mark, name] of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[[{]|[\]}]/gs)) {
    if (name !== undefined) {
      const names = open.at(-1);
      const plain = JSON.parse(name) as string;
      if (names?.has(plain)) return false;
      names?.add(plain);
    } else if (mark === '{') open.push(new Set());
    else if (mark === '[') open.push(undefined);
    else if (mark === ']' || mark === '}') open.pop();
  }
  return true;
}

/** The id of the gateway whose first root has this digest. */
export function gatewayId(root: Bytes): string {
  let [bits, count, text] = [0, 0, 'gw1-'];
  for (const byte of root) {
    bits = ((bits << 8) | byte) & 0xffff;
    for (count += 8; count >= 5; count -= 5) text += 'abcdefghijklmnopqrstuvwxyz234567'[(bits >> (count - 5)) & 31];
  }
  return text + 'abcdefghijklmnopqrstuvwxyz234567'[(bits << (5 - count)) & 31];
}

/** The id of an Ed25519 key. */
export const keyId = async (key: Bytes): Promise<string> => text64(await digest(utf8('GFP-KEY-v1\ned25519\n'), key));

/** Signed bytes, their kind, and the signatures; its form holds, and nothing is verified yet. */
export class Envelope {
  private constructor(
    readonly kind: string,
    readonly payload: Bytes,
    readonly signed: Bytes,
    readonly signatures: readonly (readonly [string, Bytes])[],
  ) {}

  /** Takes an envelope that was read as a JSON value from its canonical bytes (ENV-1 to ENV-7). */
  static of(value: Json): Envelope {
    const { payload: text, payloadType: media, signatures: listed } = members(value, 'payload,payloadType,signatures');
    const kind = typeof media === 'string' ? MEDIA.get(media) : undefined;
    if (kind === undefined || typeof media !== 'string') throw new Malformed('no kind has this media type');
    if (!Array.isArray(listed) || listed.length < 1 || listed.length > SIGNATURES_MAX)
      throw new Malformed('no signature, or too many');
    const signatures = listed.map((one) => {
      const { keyid, sig } = members(one, 'keyid,sig');
      if (typeof keyid !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(keyid)) throw new Malformed('not a key id');
      const raw = standard64(sig);
      if (raw.length !== 64) throw new Malformed('a signature is not 64 bytes long');
      return [keyid, raw] as const;
    });
    if (signatures.some(([id], at) => at > 0 && (signatures[at - 1]?.[0] ?? '') >= id))
      throw new Malformed('the key ids do not ascend');
    const payload = standard64(text);
    const limit = kind === 'request' ? REQUEST_BYTES_MAX : DOCUMENT_BYTES_MAX;
    if (payload.length > limit || write(value).length > ENVELOPE_BYTES_MAX)
      throw new Malformed('the envelope is too large');
    const signed = join(utf8(`DSSEv1 ${media.length} ${media} ${payload.length} `), payload);
    return new Envelope(kind, payload, signed, signatures);
  }

  /** D(envelope). */
  digest(): Promise<Bytes> {
    return digest(this.signed);
  }

  /** Verifies every signature under keys that may sign here (ENV-9 to ENV-12). */
  async verify(keys: ReadonlyMap<string, Bytes>, threshold: number): Promise<void> {
    for (const [id, signature] of this.signatures) {
      const key = keys.get(id);
      if (key === undefined) throw new Refused(`key ${id} may not sign a ${this.kind}`);
      if (!(await ed25519.verify(key, signature, this.signed)))
        throw new Refused(`the signature of key ${id} does not verify`);
    }
    if (this.signatures.length < threshold) throw new Refused(`${this.signatures.length} of ${threshold} signatures`);
  }
}

/** The members of an object that has exactly these. */
function members(value: Json, names: string): { [name: string]: Json } {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Malformed('not an object');
  if (Object.keys(value).sort().join() !== names) throw new Malformed(`not exactly ${names}`);
  return value;
}
