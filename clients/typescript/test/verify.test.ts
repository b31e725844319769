/** The verifier against the specification's example and the vectors. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { verify } from '../src/index.js';
import { EXAMPLE, PIN, vectors } from './tree.js';

test('the example verifies', async () => {
  const verdict = await verify(EXAMPLE, PIN);
  assert.deepEqual([verdict.verdict, verdict.exit, verdict.frames], ['verified', 0, 3]);
  assert.deepEqual([verdict.outcome, verdict.run], ['succeeded', 'run-aaaqeayeaudaocajbifqydiob4']);
  assert.equal((await verify(EXAMPLE.toString(), PIN)).exit, 0);
  assert.equal((await verify(EXAMPLE, verdict.caller ?? '')).exit, 3);
  await assert.rejects(verify(EXAMPLE, 'gw1-x'), RangeError);
});

test('every vector ends as it must', async () => {
  const all = vectors();
  assert.ok(all.length > 300);
  for (const { name, transcript, pin, exit, clause } of all) {
    const verdict = await verify(transcript, pin);
    assert.equal(verdict.exit, exit, `${name} (${clause}): line ${verdict.line}: ${verdict.what}`);
  }
});

test('a flipped bit anywhere is refused', async () => {
  // Each byte of the header, the frames and the first seal; each seventh of all others.
  let [start, number] = [0, 1];
  for (let end = EXAMPLE.indexOf(10); end >= 0; end = EXAMPLE.indexOf(10, start), number++) {
    for (let at = start; at < end; at += [1, 8, 9, 10, 11].includes(number) ? 1 : 7) {
      const data = Buffer.from(EXAMPLE);
      data[at]! ^= 1;
      const verdict = await verify(data, PIN);
      assert.ok([2, 4].includes(verdict.exit), `byte ${at - start} of line ${number}: ${JSON.stringify(verdict)}`);
    }
    start = end + 1;
  }
});

test('a cut anywhere is no whole run', async () => {
  const ends = [...EXAMPLE.entries()].filter(([, byte]) => byte === 10).map(([at]) => at + 1).slice(0, 11);
  for (let cut = 0; cut < EXAMPLE.length; cut += 61)
    assert.equal((await verify(EXAMPLE.subarray(0, cut), PIN)).exit, ends.includes(cut) ? 5 : 4, `cut at ${cut}`);
  for (const cut of ends) assert.equal((await verify(EXAMPLE.subarray(0, cut), PIN)).exit, 5, `cut at ${cut}`);
});

test('long texts and many escapes are read', async () => {
  const frame = `{"seq":1,"event":"x","payload":{"t":"${'\\"\\\\'.repeat(60_000)}"}}`;
  const line = `${JSON.stringify({ type: 'frame', value: frame })}\n`;
  const lines = EXAMPLE.toString().split(/(?<=\n)/);
  const verdict = await verify(lines.slice(0, 7).join('') + line, PIN);
  assert.deepEqual([verdict.exit, verdict.what], [5, null]);
});

test('the command ends like the verdict', () => {
  const cli = join(dirname(fileURLToPath(import.meta.url)), '../src/cli.js');
  const run = (input: string | Buffer, ...rest: string[]): number | null =>
    spawnSync(process.execPath, ['--no-warnings', cli, ...rest], { input }).status;
  assert.equal(run(EXAMPLE, '-', '--pin', PIN), 0);
  assert.equal(run(EXAMPLE.toString().replace('triage', 'Triage'), '-', '--pin', PIN, '--json'), 2);
  assert.equal(run('hello\n', '-', '--pin', PIN), 4);
  assert.equal(run(EXAMPLE, '-', '--pin', 'x'), 64);
  assert.equal(run(EXAMPLE, '-'), 64);
  assert.equal(run('', '/no/such/file', '--pin', PIN), 64);
});
