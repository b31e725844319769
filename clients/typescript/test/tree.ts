import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository: named where the tests run from a copy. */
export const TREE = process.env.LANDBRIDGE_TREE ?? join(dirname(fileURLToPath(import.meta.url)), '../../../..');
export const EXAMPLE = readFileSync(join(TREE, 'spec/examples/transcript.jsonl'));
export const PIN = 'gw1-a4lrqvnpoc2v2gctdhusmusyrkwlnvywgi4ngdktzne3b45lhvnq';

export interface Vector {
  name: string;
  clause: string;
  exit: number;
  pin: string;
  transcript: string;
}

type File = Omit<Vector, 'name' | 'transcript'> & { lines: (string | number)[] };

export function vectors(): Vector[] {
  const folder = join(TREE, 'vectors/transcripts');
  const read = (file: string): File => JSON.parse(readFileSync(join(folder, file), 'utf8')) as File;
  const whole = read('whole.json').lines;
  return readdirSync(folder).map((file) => {
    const { lines, ...vector } = read(file);
    const transcript = lines.map((line) => (typeof line === 'number' ? whole[line - 1] : line)).join('');
    return { name: file.replace('.json', ''), transcript, ...vector };
  });
}
