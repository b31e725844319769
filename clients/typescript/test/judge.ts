/** Judges one `{"pin","transcript"}` a line from standard input, in base64, and prints one `{"exit","line"}` for each. */

import { createInterface } from 'node:readline';

import { verify } from '../src/index.js';

for await (const line of createInterface({ input: process.stdin })) {
  const { pin, transcript } = JSON.parse(line) as { pin: string; transcript: string };
  const { exit, line: at, frames, outcome } = await verify(Buffer.from(transcript, 'base64'), pin);
  console.log(JSON.stringify({ exit, line: at, frames, outcome }));
}
