/**
 * A key from a passphrase: Argon2id (RFC 9106), which makes each guess cost memory and time. The parameters lie
 * beside the lock, where somebody could lower them, so there are floors (OWASP: 19 MiB and two passes).
 */
import type { Argon2Parameters } from '../../protocol/vault';
import { damagedLock, weakParameters } from './errors';

export const MEMORY_FLOOR = 19_456; // KiB
export const PASSES_FLOOR = 2;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** About half a second on a laptop of 2022. */
const DEFAULT_MEMORY = 65_536; // KiB
const DEFAULT_PASSES = 3;
/** More would only serve to hang the page: no Terrarium writes it. */
const MEMORY_CEILING = 1_048_576; // KiB
const PASSES_CEILING = 64;

/** What a guess costs. */
export type Cost = Pick<Argon2Parameters, 'memory' | 'passes'>;

export const LEAST: Cost = { memory: MEMORY_FLOOR, passes: PASSES_FLOOR };

export function freshParameters(cost: Cost | undefined): Argon2Parameters {
  return {
    algorithm: 'argon2id',
    salt: crypto.getRandomValues(new Uint8Array(SALT_BYTES)).buffer,
    memory: DEFAULT_MEMORY,
    passes: DEFAULT_PASSES,
    lanes: 1,
    ...cost,
  };
}

export function checkParameters(parameters: Argon2Parameters): void {
  const { memory, passes, lanes, salt } = parameters;
  // Whatever lies on the disk may be of any type.
  const algorithm: string = parameters.algorithm;
  const whole = [memory, passes, lanes].every(Number.isSafeInteger);
  const strong =
    memory >= MEMORY_FLOOR && passes >= PASSES_FLOOR && salt.byteLength >= SALT_BYTES && lanes >= 1;
  if (algorithm !== 'argon2id' || !whole || !strong) {
    throw weakParameters({ algorithm, memory, passes, lanes, salt: salt.byteLength });
  }
  if (memory > MEMORY_CEILING || passes > PASSES_CEILING || lanes > 16) {
    throw damagedLock('passphrase');
  }
}

/** The key that wraps the project's key. Takes its time on purpose: call it in a worker. */
export async function keyOfPassphrase(
  passphrase: string,
  parameters: Argon2Parameters,
): Promise<CryptoKey> {
  checkParameters(parameters);
  const raw = await stretch(passphrase, parameters, KEY_BYTES);
  const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['wrapKey', 'unwrapKey']);
  raw.fill(0);
  return key;
}

/** Argon2id itself, with no opinion about its parameters. */
export async function stretch(
  passphrase: string,
  { salt, memory, passes, lanes }: Omit<Argon2Parameters, 'algorithm'>,
  bytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { argon2id } = await import('hash-wasm');
  const raw = await argon2id({
    // The same letters, typed on another system, may come as other code points.
    password: passphrase.normalize('NFKC'),
    salt: new Uint8Array(salt),
    memorySize: memory,
    iterations: passes,
    parallelism: lanes,
    hashLength: bytes,
    outputType: 'binary',
  });
  return Uint8Array.from(raw);
}
