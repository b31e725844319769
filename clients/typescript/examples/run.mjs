// Starts a run, prints what happens, and checks the transcript.
//
//     npm run build && node examples/run.mjs eu "Summarise the incident." gw1-…

import { randomUUID } from 'node:crypto';

import { verify } from 'landbridge';
import { connect } from 'landbridge/node';

const [gateway, prompt, pin] = process.argv.slice(2);
const client = connect();
// The key names the decision to start this; a program that may be restarted keeps it first.
const run = await client.start({ gateway, prompt, idempotencyKey: `example-${randomUUID()}` });
for await (const frame of client.stream(run.run)) {
  if (frame.event === 'output') process.stdout.write(frame.payload.text ?? '');
}
const settled = await client.wait(run.run);
console.error(`\n${settled.outcome}, ${settled.frames} frames`);
if (pin !== undefined) {
  const verdict = await verify(await client.export(run.run), pin);
  console.error(verdict.verdict);
  process.exitCode = verdict.exit;
}
