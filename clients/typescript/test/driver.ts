/**
 * This client under `landbridge-conformance local-client`: does the task on standard input, and tells what it saw.
 *
 *     landbridge-conformance local-client --client 'node dist/test/driver.js'
 */

import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { Client, Cut, Problem, type Filters, type Run, type Start } from '../src/index.js';

interface Task {
  url: string;
  token: string;
  giveUpAfterMs: number;
  silenceMs: number;
  do: string;
  run: string;
  after?: number;
  start: Start;
  filters: Filters;
}

const tell = (line: unknown): void => console.log(JSON.stringify(line));
const task = JSON.parse(readFileSync(0, 'utf8')) as Task;
const client = new Client(task);

/** As the README says: when the answer is lost, call again with the same request. */
async function start(): Promise<Run> {
  for (let left = 2; ; left--) {
    try {
      return await client.start(task.start);
    } catch (fault) {
      if (left === 0 || !(fault instanceof Cut)) throw fault;
      await pause(100);
    }
  }
}

async function perform(): Promise<void> {
  let { run } = task;
  if (task.do.startsWith('start')) {
    const started = await start();
    tell({ run: started });
    run = started.run;
  }
  if (task.do.endsWith('follow')) {
    for await (const { seq, event, line } of client.stream(run, task.after)) tell({ frame: { seq, event, line } });
  } else if (task.do === 'show') tell({ run: await client.show(run) });
  else if (task.do === 'list') for await (const one of client.list(task.filters)) tell({ run: one });
  else if (task.do === 'cancel') tell({ cancel: await client.cancel(run) });
  else if (task.do === 'transcript') tell({ transcript: await client.export(run) });
}

try {
  await perform();
  tell({ end: 'ok' });
} catch (fault) {
  if (fault instanceof Problem) {
    const { code, status, retryable, retryAfterMs, message } = fault;
    tell({ end: 'problem', code, status, retryable, retryAfterMs, message });
  } else if (fault instanceof Cut) tell({ end: 'unknown', message: fault.message });
  else throw fault;
}
