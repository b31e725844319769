#!/usr/bin/env node
/** `landbridge-verify FILE --pin ID [--json]`. */

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { verify } from './verify.js';

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      options: { pin: { type: 'string' }, json: { type: 'boolean' } },
      allowPositionals: true,
    });
    const [file] = positionals;
    if (file === undefined || positionals.length !== 1 || values.pin === undefined)
      throw new Error('usage: landbridge-verify FILE --pin ID [--json]');
    const verdict = await verify(readFileSync(file === '-' ? 0 : file), values.pin);
    if (values.json) console.log(JSON.stringify(verdict));
    else if (verdict.what !== null)
      console.error(`${verdict.verdict}: ${verdict.line === null ? '' : `line ${verdict.line}: `}${verdict.what}`);
    else console.log(`${verdict.verdict}: ${verdict.frames} frames, outcome ${verdict.outcome ?? 'unknown'}`);
    if (!values.json) for (const warning of verdict.warnings) console.error(`note: ${warning}`);
    return verdict.exit;
  } catch (fault) {
    console.error(fault instanceof Error ? fault.message : fault);
    return 64;
  }
}

process.exitCode = await main();
