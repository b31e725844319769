/**
 * The strict Ed25519 rule (ENV-12, ID-2): what a platform leaves open is decided here, the same everywhere.
 *
 * The signature equation itself is WebCrypto's. Platforms differ in what else they accept: an `S` that is not
 * reduced, points that are spelled in two ways, points of small order. Two verifiers that differ there judge one
 * transcript in two ways, so none of it is left to the platform.
 */

type Point = readonly [bigint, bigint, bigint, bigint];

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const IDENTITY: Point = [0n, 1n, 1n, 0n];

const mod = (a: bigint): bigint => ((a % P) + P) % P;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (; exponent > 0n; exponent >>= 1n, base = (base * base) % P) {
    if (exponent & 1n) result = (result * base) % P;
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const SQRT_M1 = power(2n, (P - 1n) / 4n);

const little = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** Gives the point, or undefined where the bytes are not the one canonical spelling of a point. */
function decode(encoded: Uint8Array): Point | undefined {
  const all = little(encoded);
  const sign = all >> 255n;
  const y = all & ((1n << 255n) - 1n);
  if (encoded.length !== 32 || y >= P) return undefined;
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  let x = mod(u * power(v, 3n) * power(mod(u * power(v, 7n)), (P - 5n) / 8n));
  if (mod(v * x * x) === mod(-u)) x = mod(x * SQRT_M1);
  if (mod(v * x * x) !== u || (x === 0n && sign === 1n)) return undefined;
  if ((x & 1n) !== sign) x = P - x;
  return [x, y, 1n, mod(x * y)];
}

function add(one: Point, two: Point): Point {
  const a = mod((one[1] - one[0]) * (two[1] - two[0]));
  const b = mod((one[1] + one[0]) * (two[1] + two[0]));
  const c = mod(2n * D * one[3] * two[3]);
  const d = mod(2n * one[2] * two[2]);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function times(scalar: bigint, point: Point): Point {
  let result = IDENTITY;
  for (; scalar > 0n; scalar >>= 1n, point = add(point, point)) {
    if (scalar & 1n) result = add(result, point);
  }
  return result;
}

const isIdentity = (point: Point): boolean => point[0] === 0n && point[1] === point[2];

const judged = new Map<string, boolean>();

/** Tells whether a key is canonical, of large order and torsion-free (ID-2). */
export function goodKey(key: Uint8Array): boolean {
  const name = key.join();
  let good = judged.get(name);
  if (good === undefined) {
    const point = decode(key);
    good = point !== undefined && !isIdentity(point) && isIdentity(times(L, point));
    if (judged.size >= 1024) judged.clear();
    judged.set(name, good);
  }
  return good;
}

/** Verifies a signature under the strict rule (ENV-12). */
export async function verify(
  key: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (signature.length !== 64 || little(signature.subarray(32)) >= L) return false;
  for (const encoded of [key, signature.subarray(0, 32)]) {
    const point = decode(encoded);
    if (point === undefined || isIdentity(times(8n, point))) return false;
  }
  const imported = await crypto.subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify']);
  return crypto.subtle.verify({ name: 'Ed25519' }, imported, signature, message);
}
