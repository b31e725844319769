/** What the verifier does with envelopes, roots and statuses alone, against the vectors. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import * as form from '../src/documents.js';
import { Envelope, gatewayId, type Json, Malformed, read, Refused, utf8 } from '../src/form.js';
import { Side } from '../src/verify.js';
import { TREE } from './tree.js';

/** What its folder says. */
type Vector = any;
type Judge = (vector: Vector) => Promise<void>;

const json = (path: string): Vector => JSON.parse(readFileSync(join(TREE, path), 'utf8'));

/** The kinds of a transcript: who signs them, and what reads them. */
const KINDS = new Map<string, [form.Role, (value: Json) => unknown]>([
  ['status', ['status', form.status]],
  ['request', ['request', form.request]],
  ['accept', ['stream', form.accept]],
  ['seal', ['stream', form.seal]],
  ['receipt', ['request', form.receipt]],
]);

/** Each vector of a folder, with what it takes from the folder's whole one. */
function vectors(folder: string): [string, Vector][] {
  const whole = json(`vectors/${folder}/whole.json`);
  const files = readdirSync(join(TREE, 'vectors', folder)).sort();
  return files.map((file) => [file.replace('.json', ''), { ...whole, ...json(`vectors/${folder}/${file}`) }]);
}

const parts = (said: string | (string | [string, number])[]): string =>
  typeof said === 'string' ? said : said.map((one) => (typeof one === 'string' ? one : one[0].repeat(one[1]))).join('');

function expected(kind: string, value: Json): Envelope {
  const envelope = Envelope.of(value);
  if (envelope.kind !== kind) throw new Refused('another kind');
  return envelope;
}

async function known(roots: Json[], gid?: string): Promise<Side> {
  const side = new Side(gid ?? gatewayId(await Envelope.of(roots[0] ?? null).digest()));
  for (const root of roots) await side.takeRoot(expected('root', root));
  return side;
}

const envelope: Judge = async (vector) => {
  const side = await known(vector.roots);
  const [role, reads] = KINDS.get(vector.kind) ?? assert.fail();
  const said = expected(vector.kind, read(utf8(parts(vector.envelope))));
  await side.verify(said, side.roots.length, role, vector.now);
  if (vector.kind === 'status') await side.takeStatus(said);
  else reads(read(said.payload));
};

const walk: Judge = async (vector) => {
  const side = await known(vector.updates.flat(), vector.gateway);
  if (vector.version !== null) assert.equal(side.roots.length, vector.version);
};

const status: Judge = async (vector) => {
  const side = await known(vector.roots);
  for (const step of vector.before) {
    for (const root of step.roots ?? []) await side.takeRoot(expected('root', root));
    if (step.status !== undefined) await side.takeStatus(expected('status', step.status));
  }
  await side.takeStatus(expected('status', vector.status));
  if (vector.then !== null)
    await side.verify(expected('seal', vector.then.envelope), side.roots.length, 'stream', vector.then.at);
};

async function judged(judge: Judge, vector: Vector): Promise<[string, string | null]> {
  try {
    await judge(vector);
    return ['accepted', null];
  } catch (fault) {
    if (fault instanceof Malformed) return ['refused', 'malformed'];
    if (fault instanceof Refused) return ['refused', 'verification_failed'];
    throw fault;
  }
}

/** A verifier knows two codes. What it cannot know is listed, and is listed only where it differs. */
async function hold(folder: string, judge: Judge, atLeast: number, codes = true): Promise<void> {
  const offline = new Set(Object.values(json('clients/tests/offline.json')[folder] ?? {}).flat());
  const all = vectors(folder).filter(([, vector]) => KINDS.has(vector.kind ?? 'status'));
  assert.ok(all.length >= atLeast);
  for (const [name, vector] of all) {
    const [verdict, code] = await judged(judge, vector);
    const coded = codes && ['malformed', 'verification_failed'].includes(vector.code);
    const right = verdict === vector.verdict && (!coded || code === vector.code);
    assert.equal(right, !offline.has(name), `${folder}/${name} (${vector.clause}): ${verdict} ${code}`);
  }
}

test('every envelope is judged as it must', () => hold('envelopes', envelope, 250));
// Whatever is wrong with a root is one code (ID-7), and a verifier does not need it.
test('every walk ends as it must', () => hold('walks', walk, 150, false));
test('every status is judged as it must', () => hold('statuses', status, 115));
