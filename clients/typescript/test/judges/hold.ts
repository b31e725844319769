/** How the vectors are read, and how a judge is held to them (`vectors/README.md`). */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { TREE } from '../tree.js';
import { Refusal } from './standing.js';

/** What its folder says, with what it takes from the folder's whole one. */
export type Vector = any;

/** Throws a refusal, or gives the verdict where it is another than `accepted`. */
export type Judge = (vector: Vector) => Promise<string | void>;

const json = (folder: string, file: string): Vector => JSON.parse(readFileSync(join(TREE, 'vectors', folder, file), 'utf8'));

/** Bytes that stand as a text, or as a list of texts and of `[text, how often]`. */
export const parts = (said: string | (string | [string, number])[]): string =>
  typeof said === 'string' ? said : said.map((one) => (typeof one === 'string' ? one : one[0].repeat(one[1]))).join('');

async function judged(judge: Judge, vector: Vector): Promise<{ verdict: string; code: string | null; phase: string }> {
  try {
    return { verdict: (await judge(vector)) ?? 'accepted', code: null, phase: 'none' };
  } catch (fault) {
    if (fault instanceof Refusal) return fault;
    throw fault;
  }
}

/** Holds a judge to the verdict, the code and the phase of each file of a folder, of which there are at least so many. */
export async function hold(folder: string, atLeast: number, judge: Judge): Promise<void> {
  const whole = json(folder, 'whole.json');
  const files = readdirSync(join(TREE, 'vectors', folder)).sort();
  assert.ok(files.length >= atLeast, `${files.length} files in ${folder}`);
  const wrong: string[] = [];
  for (const file of files) {
    const vector: Vector = { ...whole, ...json(folder, file) };
    const said = await judged(judge, vector);
    const code = vector.code === null ? null : said.code;
    if (said.verdict === vector.verdict && said.phase === vector.phase && code === vector.code) continue;
    const why = said instanceof Refusal ? said.message : '';
    wrong.push(`${folder}/${file} (${vector.clause}): ${said.verdict} ${said.code} ${said.phase} ${why}`);
  }
  assert.deepEqual(wrong, []);
}
