/** Whether an operator's key signed: what `approvals.md` says of the proofs of the four kinds of keys. */

import { createPublicKey, type KeyObject, verify } from 'node:crypto';

import * as ed25519 from '../../src/ed25519.js';
import { type Bytes, decode, digest, isObject, join, Malformed, same, text64, utf8 } from '../../src/form.js';
import type { OperatorKey, Proof } from './approval-forms.js';

const USER_PRESENT = 1;
const USER_PRESENT_AND_VERIFIED = 5;
/** Flags that say that more follows. */
const HAS_MORE = 0x40 | 0x80;

type Of<K extends OperatorKey['kind']> = Extract<OperatorKey, { kind: K }>;

/** Tells whether a proof holds for the signed bytes. Its kind is the key's; no message chooses an algorithm. */
export async function holds(proof: Proof, key: OperatorKey, pae: Bytes): Promise<boolean> {
  if (proof.kind !== key.kind) return false;
  if (key.kind === 'file') return ed25519.verify(key.pub, proof.sig, pae);
  if (key.kind === 'webauthn') return proof.kind === 'webauthn' && webauthn(proof, key, pae);
  return sshsig(proof.sig, key, pae);
}

function u32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** A string of SSH: its length, then its bytes. */
const ssh = (bytes: Bytes): Bytes => join(u32(bytes.length), bytes);

/** Everything but the signature follows from the key and from APR-20, so what comes before it has one spelling. */
async function sshsig(sig: Bytes, key: Of<'ssh' | 'ssh_sk'>, pae: Bytes): Promise<boolean> {
  const onToken = key.kind === 'ssh_sk';
  const algorithm = ssh(utf8(onToken ? 'sk-ssh-ed25519@openssh.com' : 'ssh-ed25519'));
  const application = onToken ? utf8(key.application) : utf8('');
  const pub = join(algorithm, ssh(key.pub), onToken ? ssh(application) : utf8(''));
  const context = join(ssh(utf8('approval.v1@gfp')), ssh(utf8('')), ssh(utf8('sha512')));
  const counted = onToken ? 5 : 0; // the flags, and four bytes that count
  const blob = u32(algorithm.length + 4 + 64 + counted);
  const before = join(utf8('SSHSIG'), u32(1), ssh(pub), context, blob, algorithm, u32(64));
  if (sig.length !== before.length + 64 + counted || !same(sig.subarray(0, before.length), before)) return false;

  const signature = sig.subarray(before.length, before.length + 64);
  const message = new Uint8Array(await crypto.subtle.digest('SHA-512', pae));
  const signed = join(utf8('SSHSIG'), context, ssh(message));
  if (!onToken) return ed25519.verify(key.pub, signature, signed);
  const state = sig.subarray(before.length + 64);
  if (((state[0] ?? 0) & USER_PRESENT) === 0) return false;
  return ed25519.verify(key.pub, signature, join(await digest(application), state, await digest(signed)));
}

/** APR-21. The client's data is the browser's JSON and no control document: members that are not named here may stand in it. */
async function webauthn(proof: Extract<Proof, { kind: 'webauthn' }>, key: Of<'webauthn'>, pae: Bytes): Promise<boolean> {
  const said = clientData(proof.client_data);
  if (said['type'] !== 'webauthn.get') return false;
  if (said['challenge'] !== text64(await digest(utf8('GFP-WEBAUTHN-v1\n'), pae))) return false;
  if (!key.origins.some((origin) => origin === said['origin'])) return false;
  if (said['crossOrigin'] !== undefined && said['crossOrigin'] !== false) return false;
  if (said['topOrigin'] !== undefined && said['topOrigin'] !== null) return false;

  const data = proof.authenticator_data; // the hash of `rp_id`, the flags, and four bytes that count
  if (data.length < 37 || !same(data.subarray(0, 32), await digest(utf8(key.rp_id)))) return false;
  if (data.length > 37 !== (((data[32] ?? 0) & HAS_MORE) !== 0)) return false;
  if (((data[32] ?? 0) & USER_PRESENT_AND_VERIFIED) !== USER_PRESENT_AND_VERIFIED) return false;

  const signed = join(data, await digest(proof.client_data));
  if (key.alg === 'ed25519') return ed25519.verify(key.pub, proof.sig, signed);
  const point = p256(key.pub);
  return point !== undefined && verify('sha256', signed, { key: point, dsaEncoding: 'der' }, proof.sig);
}

function clientData(data: Bytes): { readonly [name: string]: unknown } {
  try {
    const text = decode(data);
    return isObject(text) ? JSON.parse(text) : {};
  } catch (fault) {
    if (fault instanceof Malformed) return {};
    throw fault;
  }
}

/** The key, or undefined where the bytes are no point of the curve. */
function p256(pub: Bytes): KeyObject | undefined {
  const [x, y] = [text64(pub.subarray(1, 33)), text64(pub.subarray(33))];
  try {
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
  } catch {
    return undefined;
  }
}
