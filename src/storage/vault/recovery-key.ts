/**
 * The recovery key on paper: 160 random bits and 20 of a checksum, as nine groups of four in Crockford's base32
 * (https://www.crockford.com/base32.html), which has no letters that look like figures. Being random it needs no
 * stretching.
 */
import { mistypedRecoveryKey } from './errors';
import { utf8 } from './envelope';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const KEY_BYTES = 20;
const CHECK_CHARACTERS = 4;
const CHARACTERS = (KEY_BYTES * 8) / 5 + CHECK_CHARACTERS;

export type RecoveryBytes = Uint8Array<ArrayBuffer>;

export function randomRecoveryBytes(): RecoveryBytes {
  return crypto.getRandomValues(new Uint8Array(KEY_BYTES));
}

/** As it is shown: `7Q2M-…`. */
export async function writeRecoveryKey(bytes: RecoveryBytes): Promise<string> {
  const text = base32(bytes) + (await checksum(bytes));
  return (text.match(/.{4}/g) ?? []).join('-');
}

/** Spaces, hyphens and case do not matter, O is 0, I and L are 1. `vault/mistyped-recovery-key` otherwise. */
export async function readRecoveryKey(text: string): Promise<RecoveryBytes> {
  const plain = text
    .toUpperCase()
    .replace(/[\s\u2010-\u2015-]/g, '')
    .replace(/O/g, '0')
    .replace(/[IL]/g, '1');
  const wrong = [...plain].some((character) => !ALPHABET.includes(character));
  if (wrong || plain.length !== CHARACTERS) throw mistypedRecoveryKey();
  const bytes = fromBase32(plain.slice(0, -CHECK_CHARACTERS));
  if ((await checksum(bytes)) !== plain.slice(-CHECK_CHARACTERS)) throw mistypedRecoveryKey();
  return bytes;
}

/** The key that wraps the project's key a second time. */
export async function keyOfRecovery(bytes: RecoveryBytes): Promise<CryptoKey> {
  const root = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey']);
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: utf8('terrarium recovery') },
    root,
    { name: 'AES-GCM', length: 256 },
    false,
    ['wrapKey', 'unwrapKey'],
  );
}

async function checksum(bytes: RecoveryBytes): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return base32(digest.slice(0, 5)).slice(0, CHECK_CHARACTERS);
}

/** Of a multiple of five bytes. */
function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET.charAt((held >> bits) & 31);
    }
    held &= (1 << bits) - 1;
  }
  return text;
}

function fromBase32(text: string): RecoveryBytes {
  const bytes = new Uint8Array((text.length * 5) / 8);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const character of text) {
    held = (held << 5) | ALPHABET.indexOf(character);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = held >> bits;
    held &= (1 << bits) - 1;
  }
  return bytes;
}
