/** The client against a bridge that is not one: cut connections, refusals, pages. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Client, Cut, Problem } from '../src/index.js';
import { connect, socketFetch } from '../src/node.js';

const RUN = `run-${'a'.repeat(26)}`;
const LINES = [
  '{"seq":1,"event":"started","payload":{"agent":"demo"}}',
  '{"seq":2,"event":"output","payload":{"channel":"answer","text":"ä: b\\n"}}',
  '{"seq":3,"event":"terminal","payload":{"by":"executor","outcome":"succeeded","sideEffects":"none"}}',
];

type Asked = { method: string; path: string; head: string; body: string };
type Answer = (asked: Asked) => Buffer;

/** Answers each request with bytes, and closes. */
async function fake<T>(answer: Answer, use: (path: string, asked: Asked[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'lb-'));
  const path = join(folder, 's');
  const asked: Asked[] = [];
  const server: Server = createServer((socket) => {
    let data = '';
    socket.on('error', () => undefined);
    socket.on('data', (piece) => {
      data += piece.toString();
      const [head = '', body] = data.split(/\r\n\r\n(.*)/s);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (body === undefined || body.length < length) return;
      const [method = '', target = ''] = head.split(' ');
      const one = { method, path: target, head, body };
      asked.push(one);
      socket.end(answer(one));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    return await use(path, asked);
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function plain(status: number, body: unknown, media = status < 400 ? 'application/json' : 'application/problem+json'): Buffer {
  const data = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} x\r\ncontent-type: ${media}\r\ncontent-length: ${data.length}\r\n\r\n`), data]);
}

function stream(path: string, lines = LINES, problem?: unknown): Buffer {
  const pieces = ['retry: 1000\n\n', ': still here\n\n'];
  const after = Number(/after=(\d+)/.exec(path)?.[1]);
  for (const [at, line] of lines.entries()) {
    if (at < after) continue;
    pieces.push(`id: ${at + 1}\nevent: ${(JSON.parse(line) as { event: string }).event}\ndata: ${line}\n\n`);
  }
  if (problem !== undefined) pieces.push(`event: problem\ndata: ${JSON.stringify(problem)}\n\n`);
  const body = pieces.map((piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`).join('');
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
  return Buffer.from(`${head}${body}0\r\n\r\n`);
}

async function all(client: Client, after = 0): Promise<string[]> {
  const lines: string[] = [];
  for await (const frame of client.stream(RUN, after)) lines.push(frame.line);
  return lines;
}

const quick = { giveUpAfterMs: 1 };

test('a stream that is cut at any byte goes on from its cursor', { timeout: 300_000 }, async () => {
  const whole = stream('after=0').length;
  const cuts = [...Array(whole).keys()].filter((cut) => cut % 3 === 0);
  // Side by side, because each waits a moment before it asks again.
  for (let from = 0; from < cuts.length; from += 40) {
    await Promise.all(
      cuts.slice(from, from + 40).map((cut) => {
        let first = true;
        const answer: Answer = ({ path }) => {
          const bytes = stream(path).subarray(0, first ? cut : undefined);
          first = false;
          return bytes;
        };
        return fake(answer, async (path) => assert.deepEqual(await all(connect(path)), LINES, `cut at ${cut}`));
      }),
    );
  }
});

test('a cursor is where it goes on', () =>
  fake(({ path }) => stream(path), async (path) => assert.deepEqual(await all(connect(path), 2), LINES.slice(2))));

test('an end without a terminal is asked again and then thrown', () =>
  fake(({ path }) => stream(path, LINES.slice(0, 2)), async (path, asked) => {
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const frame of connect(path, quick).stream(RUN)) seen.push(frame.seq);
    }, Cut);
    assert.deepEqual(seen, [1, 2]);
    assert.equal(asked.length, 2);
  }));

test('a frame that is left out is never handed on', () =>
  fake(({ path }) => Buffer.from(stream(path).toString().replace('{"seq":2', '{"seq":4')), async (path) => {
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const frame of connect(path, quick).stream(RUN)) seen.push(frame.seq);
    }, Cut);
    assert.deepEqual(seen, [1]);
  }));

test('a problem ends a stream when asking again is vain, and not when it passes', async () => {
  const final = { code: 'unauthorized', retryable: false };
  await fake(({ path }) => stream(path, LINES.slice(0, 1), final), async (path, asked) => {
    await assert.rejects(all(connect(path)), (fault) => fault instanceof Problem && fault.code === 'unauthorized');
    assert.equal(asked.length, 1);
  });
  let first = true;
  const answer: Answer = ({ path }) => {
    const bytes = first ? stream(path, LINES.slice(0, 1), { code: 'halted', retryable: true }) : stream(path);
    first = false;
    return bytes;
  };
  await fake(answer, async (path) => assert.deepEqual(await all(connect(path)), LINES));
});

test('a start says what was asked', () =>
  fake(
    () => plain(201, { run: RUN }),
    async (path, asked) => {
      const client = connect(path, { token: 'lbt_x' });
      const run = await client.start({ gateway: 'eu', idempotencyKey: 'k'.repeat(16), prompt: 'hello' });
      assert.equal(run.run, RUN);
      assert.deepEqual([asked[0]?.method, asked[0]?.path], ['POST', '/v1/runs']);
      assert.match(asked[0]?.head ?? '', /authorization: Bearer lbt_x/i);
      const body: unknown = JSON.parse(asked[0]?.body ?? '');
      assert.deepEqual(body, { gateway: 'eu', idempotencyKey: 'k'.repeat(16), prompt: 'hello' });
    },
  ));

test('a refusal is a problem, and nobody there a cut', async () => {
  const refusal = { code: 'key_conflict', detail: 'used', retryable: false };
  await fake(() => plain(422, refusal), async (path) =>
    assert.rejects(connect(path).show(RUN), (fault) => fault instanceof Problem && fault.code === 'key_conflict'));
  await fake(() => plain(502, '<html>'), async (path) =>
    assert.rejects(connect(path).show(RUN), (fault) => fault instanceof Problem && fault.code === 'unknown'));
  await assert.rejects(connect('/no/such/socket').show(RUN), Cut);
});

test('pages are one list', () =>
  fake(
    ({ path }) => plain(200, { runs: [{ run: path }], next: path.includes('cursor=') ? null : 'a b' }),
    async (path) => {
      const runs: string[] = [];
      for await (const run of connect(path).list({ state: 'open', labels: { a: 'b' }, limit: 1 })) runs.push(run.run);
      const filters = '/v1/runs?state=open&limit=1&label=a%3Db';
      assert.deepEqual(runs, [filters, `${filters}&cursor=a+b`]);
    },
  ));

test('half a transcript is none', async () => {
  const whole = plain(200, 'line\n'.repeat(100), 'application/jsonl');
  await fake(() => whole.subarray(0, -1), async (path) => assert.rejects(connect(path).export(RUN), Cut));
  await fake(() => whole, async (path) => assert.equal(await connect(path).export(RUN), 'line\n'.repeat(100)));
});

test('waiting ends with the run, or with its signal', async () => {
  let shown = 0;
  const answer: Answer = ({ path }) =>
    path.includes('frames') ? stream(path) : plain(200, { run: RUN, frames: 1, ended: shown++ === 0 ? null : 'then' });
  await fake(answer, async (path) => assert.equal((await connect(path).wait(RUN)).ended, 'then'));
  const never: Answer = ({ path }) =>
    path.includes('frames') ? stream(path, LINES.slice(0, 1)) : plain(200, { run: RUN, frames: 0, ended: null });
  await fake(never, async (path) =>
    assert.rejects(connect(path).wait(RUN, AbortSignal.timeout(300)), (fault) => !(fault instanceof Cut)));
});

test('any fetch will do', () =>
  fake(() => plain(200, { run: RUN }), async (path) => {
    const client = new Client({ url: 'http://landbridge/', fetch: socketFetch(path) });
    assert.equal((await client.show(RUN)).run, RUN);
  }));
