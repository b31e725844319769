/** What gateways verify when operators of one decide for another, against the vectors: written from the contract alone. */

import { test } from 'node:test';

import { utf8 } from '../src/form.js';
import { judgeAsk, Question, takeCatalog, tally } from './judges/approvals.js';
import { hold, type Judge, parts, type Vector } from './judges/hold.js';
import { Gateway } from './judges/standing.js';

const catalog: Judge = async ({ roots, status, tenant, kept, now, ...vector }) => {
  const sender = await Gateway.known(roots, now);
  await sender.takeStatus(status, now);
  await takeCatalog(vector.catalog, sender, tenant, kept, now);
};

const ask: Judge = async ({ relying, status, gateway, tenant, now, ...vector }) => {
  const asking = await Gateway.known(relying, now);
  await asking.takeStatus(status, now);
  const subject = utf8(parts(vector.subject));
  await judgeAsk(vector.request, { asking, asked: gateway, tenant, subject }, now);
};

async function question({ relying, roots, status, at, now, ...vector }: Vector): Promise<Question> {
  const own = await Gateway.known(relying, now);
  const deciding = await Gateway.known(roots, at);
  await deciding.takeStatus(status, at);
  return Question.of(vector.request, own, deciding, vector.projections, vector.kept, now);
}

const approval: Judge = async (vector) => {
  await (await question(vector)).judge(vector.decision, vector.now);
};

const count: Judge = async (vector) => tally(await question(vector), vector.decisions, vector.now);

test('every catalog is judged as it must', () => hold('catalogs', 50, catalog));
test('every ask is judged as it must', () => hold('asks', 70, ask));
test('every decision is judged as it must', () => hold('approvals', 289, approval));
test('every tally ends as it must', () => hold('tallies', 50, count));
