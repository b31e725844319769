/** The client against two real bridges; skipped where `LANDBRIDGE_BIN` names none. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as dial, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';

import { Client, type Frame, Problem, verify } from '../src/index.js';
import { connect } from '../src/node.js';
import { TREE } from './tree.js';

interface Told {
  socket: string;
  url: string;
  token: string;
  executor: string;
}

/** A socket in front of the bridge's that closes each connection after so many bytes of its answer. */
async function cutter(to: string, cuts: number[]): Promise<{ path: string; left: number[]; close: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'lb-'));
  const path = join(folder, 's');
  const server = createServer((client) => {
    let left = cuts.shift() ?? Infinity;
    const bridge = dial(to);
    const end = (): void => {
      client.destroy();
      bridge.destroy();
    };
    client.on('error', end).pipe(bridge);
    bridge.on('error', end).on('end', () => client.end());
    bridge.on('data', (piece) => {
      client.write(piece.subarray(0, left), () => left <= 0 && end());
      left -= piece.length;
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { path, left: cuts, close: () => (server.close(), rmSync(folder, { recursive: true })) };
}

describe('two bridges', { skip: process.env.LANDBRIDGE_BIN === undefined && 'LANDBRIDGE_BIN is not set' }, () => {
  let pair: ChildProcess;
  let told: Told;
  let client: Client;

  before(async () => {
    pair = spawn('python3', [join(TREE, 'clients/tests/pair.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: pair.stdout! })) {
      told = JSON.parse(line) as Told;
      break;
    }
    client = connect(told.socket);
  });
  after(async () => {
    const ended = new Promise((resolve) => pair.on('exit', resolve));
    pair.stdin?.end();
    await ended;
  });

  const start = (prompt: string, labels = {}) =>
    client.start({ gateway: 'eu', idempotencyKey: `test-${randomUUID()}`, prompt, labels });

  test('a run whose stream is cut again and again', async () => {
    const wire = await cutter(told.socket, [20, 400, 500, 700, 1, 900]);
    const run = await start('think Hm.\nslow 40 one two three four five six\nusage 12 5', { suite: 'clients' });
    const frames: Frame[] = [];
    for await (const frame of connect(wire.path).stream(run.run)) frames.push(frame);
    wire.close();
    assert.deepEqual(frames.map((frame) => frame.seq), frames.map((_, at) => at + 1));
    assert.deepEqual([frames[0]?.event, frames.at(-1)?.event, wire.left], ['started', 'terminal', []]);
    assert.equal((await client.wait(run.run)).outcome, 'succeeded');
    const transcript = await client.export(run.run);
    const lines = transcript.trimEnd().split('\n').map((line) => JSON.parse(line) as { type: string; value: string });
    assert.deepEqual(lines.filter(({ type }) => type === 'frame').map(({ value }) => value), frames.map(({ line }) => line));
    assert.equal((await verify(transcript, told.executor)).verdict, 'verified');
    assert.equal((await verify(transcript.replace('one ', 'ono '), told.executor)).verdict, 'tampered');
    const listed: string[] = [];
    for await (const one of client.list({ labels: { suite: 'clients' }, limit: 1 })) listed.push(one.run);
    assert.deepEqual(listed, [run.run]);
  });

  test('a cancelled run', async () => {
    const run = await start('say I wait.\nhang');
    let [asked, last] = ['', ''];
    for await (const frame of client.stream(run.run)) {
      asked ||= await client.cancel(run.run);
      last = String(frame.payload.outcome);
    }
    assert.deepEqual([asked, last], ['requested', 'cancelled']);
    assert.equal((await client.wait(run.run)).outcome, 'cancelled');
    assert.equal((await verify(await client.export(run.run), told.executor)).outcome, 'cancelled');
  });

  test('a token over TCP', async () => {
    const other = new Client({ url: told.url, token: told.token });
    const run = await other.start({ gateway: 'eu', idempotencyKey: `test-${randomUUID()}`, prompt: 'say hello' });
    assert.equal((await other.wait(run.run)).outcome, 'succeeded');
    assert.deepEqual((await other.gateways()).map(({ gateway, usable }) => [gateway, usable]), [['eu', true]]);
    const stranger = new Client({ url: told.url, token: `lbt_${'A'.repeat(43)}` });
    await assert.rejects(stranger.show(run.run), (fault) => fault instanceof Problem && fault.code === 'unauthorized');
  });
});
