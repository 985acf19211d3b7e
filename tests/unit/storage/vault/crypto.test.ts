import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { VaultRow } from '../../../../src/protocol/vault';
import { seal, unseal } from '../../../../src/storage/vault/envelope';
import type { Identity } from '../../../../src/storage/vault/envelope';
import {
  createLock,
  nameOf,
  openLock,
  rewrapPassphrase,
  rewrapRecovery,
} from '../../../../src/storage/vault/keys';
import { MEMORY_FLOOR, PASSES_FLOOR, stretch } from '../../../../src/storage/vault/passphrase';
import { readRecoveryKey, writeRecoveryKey } from '../../../../src/storage/vault/recovery-key';

const bytes = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const hex = (data: Uint8Array | ArrayBuffer): string =>
  [...new Uint8Array(data)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const text = (words: string) => new TextEncoder().encode(words);

/** As cheap as the floors allow. */
const parameters = () => ({
  algorithm: 'argon2id' as const,
  salt: crypto.getRandomValues(new Uint8Array(16)).buffer,
  memory: MEMORY_FLOOR,
  passes: PASSES_FLOOR,
  lanes: 1,
});
const about = { projectId: 'project-a', label: 'Locked project', createdAt: 1, idleMinutes: 15 };
const lock = (passphrase = 'correct horse') => createLock(about, passphrase, parameters());

describe('Argon2id', () => {
  // phc-winner-argon2, src/test.c, version 0x13, which is the version of RFC 9106. (The vector in the RFC itself has
  // associated data, which neither the package nor we use.)
  it.each([
    [
      2,
      16,
      1,
      'password',
      'somesalt',
      '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7',
    ],
    [
      2,
      8,
      1,
      'password',
      'somesalt',
      '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe',
    ],
    [
      2,
      8,
      2,
      'password',
      'somesalt',
      '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037',
    ],
    [
      1,
      16,
      1,
      'password',
      'somesalt',
      'f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98',
    ],
    [
      4,
      16,
      1,
      'password',
      'somesalt',
      '9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c',
    ],
    [
      2,
      16,
      1,
      'password',
      'diffsalt',
      'bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c',
    ],
  ])(
    'gives the published tag for t=%i, m=2^%i, p=%i',
    async (passes, power, lanes, word, salt, tag) => {
      const raw = await stretch(
        word,
        { salt: text(salt).buffer, memory: 2 ** power, passes, lanes },
        32,
      );
      expect(hex(raw)).toBe(tag);
    },
  );
});

describe('AES-256-GCM', () => {
  // Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", with which NIST validated.
  it('opens the published ciphertext with its associated data', async () => {
    const key = await crypto.subtle.importKey(
      'raw',
      bytes('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308'),
      'AES-GCM',
      false,
      ['decrypt'],
    );
    const plain = await crypto.subtle.decrypt(
      {
        name: 'AES-GCM',
        iv: bytes('cafebabefacedbaddecaf888'),
        additionalData: bytes('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
      },
      key,
      bytes(
        '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
      ),
    );
    expect(hex(plain)).toBe(
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    );
  });
});

describe('a sealed thing', () => {
  const home: Identity = { projectId: 'project-a', kind: 'chunk', key: 'k1' };

  it('opens in its own place and nowhere else', async () => {
    const { keys } = await lock();
    const other = await lock();
    const sealed = await seal(keys.sealing, home, text('what nobody may read'));
    expect(hex(await unseal(keys.sealing, home, sealed))).toBe(hex(text('what nobody may read')));
    const elsewhere: Identity[] = [
      { ...home, key: 'k2' },
      { ...home, kind: 'row' },
      { ...home, projectId: 'project-b' },
    ];
    for (const place of elsewhere) {
      await expect(unseal(keys.sealing, place, sealed)).rejects.toMatchObject({
        code: 'vault/tampered',
      });
    }
    await expect(unseal(other.keys.sealing, home, sealed)).rejects.toMatchObject({
      code: 'vault/tampered',
    });
  });

  it('is refused when any one bit is flipped, or when it is cut short', async () => {
    const { keys } = await lock();
    const sealed = await seal(keys.sealing, home, text('a record'));
    for (let bit = 0; bit < sealed.byteLength * 8; bit++) {
      const flipped = new Uint8Array(sealed.slice());
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(unseal(keys.sealing, home, flipped.buffer)).rejects.toMatchObject({
        code: 'vault/tampered',
      });
    }
    for (const length of [0, 12, 27, sealed.byteLength - 1]) {
      await expect(unseal(keys.sealing, home, sealed.slice(0, length))).rejects.toMatchObject({
        code: 'vault/tampered',
      });
    }
  });

  it('is never the same twice', async () => {
    const { keys } = await lock();
    const seals = await Promise.all(
      Array.from({ length: 200 }, () => seal(keys.sealing, home, text('same'))),
    );
    expect(new Set(seals.map((one) => hex(one.slice(0, 12)))).size).toBe(200);
  });
});

describe('the lock', () => {
  it('opens with the passphrase and with the recovery key, to the same keys, which cannot be read out', async () => {
    const { row, keys, recoveryKey } = await lock();
    const again = await openLock(row, {
      recoveryKey: recoveryKey.toLowerCase().replaceAll('-', ' '),
    });
    expect(await nameOf(again, 'chunk', 'x')).toBe(await nameOf(keys, 'chunk', 'x'));
    expect(await nameOf(keys, 'row', 'x')).not.toBe(await nameOf(keys, 'chunk', 'x'));
    for (const key of [keys.sealing, keys.naming]) {
      expect(key.extractable).toBe(false);
      await expect(crypto.subtle.exportKey('raw', key)).rejects.toThrow();
    }
  });

  it('takes the passphrase however the system composed its letters', async () => {
    const { row } = await lock('Fr\u00fchst\u00fcck am See');
    await expect(
      openLock(row, { passphrase: 'Fru\u0308hstu\u0308ck am See' }),
    ).resolves.toBeDefined();
  });

  it('says which secret was wrong', async () => {
    const { row } = await lock();
    const foreign = await lock();
    await expect(openLock(row, { passphrase: 'correct horsf' })).rejects.toMatchObject({
      code: 'vault/wrong-passphrase',
    });
    await expect(openLock(row, { recoveryKey: foreign.recoveryKey })).rejects.toMatchObject({
      code: 'vault/wrong-recovery-key',
    });
    const mistyped = foreign.recoveryKey.replace(/.$/, (last) => (last === '7' ? '8' : '7'));
    await expect(openLock(row, { recoveryKey: mistyped })).rejects.toMatchObject({
      code: 'vault/mistyped-recovery-key',
    });
  });

  it('is refused on another project', async () => {
    const { row } = await lock();
    const moved = { ...row, projectId: 'project-b' };
    const secret = { passphrase: 'correct horse' };
    await expect(openLock(moved, secret)).rejects.toMatchObject({ code: 'vault/damaged-lock' });
    // The hash is no secret: whoever moves a lock can leave it out, and the seal still refuses.
    const { iv, bytes, salt, algorithm, memory, passes, lanes } = row.passphrase;
    const passphrase = { iv, bytes, salt, algorithm, memory, passes, lanes };
    await expect(openLock({ ...moved, passphrase }, secret)).rejects.toMatchObject({
      code: 'vault/wrong-passphrase',
    });
  });

  it.each([
    ['memory', { memory: MEMORY_FLOOR - 1 }],
    ['passes', { passes: 1 }],
    ['salt', { salt: new ArrayBuffer(8) }],
    ['lanes', { lanes: 0 }],
    ['algorithm', { algorithm: 'argon2i' }],
  ])('with weaker parameters is refused before the passphrase is used: %s', async (_, weaker) => {
    const { row, recoveryKey } = await lock();
    const lowered = { ...row, passphrase: { ...row.passphrase, ...weaker } } as VaultRow;
    await expect(openLock(lowered, { passphrase: 'correct horse' })).rejects.toMatchObject({
      code: 'vault/weak-parameters',
    });
    // A recovery key is random and not stretched: it is the way to a passphrase with parameters of our own.
    await openLock(lowered, { recoveryKey });
  });

  it('of a newer form is refused', async () => {
    const { row } = await lock();
    const newer = { ...row, format: 2 } as never as VaultRow;
    await expect(openLock(newer, { passphrase: 'correct horse' })).rejects.toMatchObject({
      code: 'vault/newer',
    });
  });

  it('that would hang the page is refused', async () => {
    const { row } = await lock();
    const greedy = { ...row, passphrase: { ...row.passphrase, memory: 2 ** 22 } };
    await expect(openLock(greedy, { passphrase: 'correct horse' })).rejects.toMatchObject({
      code: 'vault/damaged-lock',
    });
  });

  it('takes a new passphrase or recovery key and keeps the same key', async () => {
    const { row, keys, recoveryKey } = await lock();
    const changed = await rewrapPassphrase(
      row,
      { passphrase: 'correct horse' },
      'battery staple',
      parameters(),
    );
    await expect(openLock(changed, { passphrase: 'correct horse' })).rejects.toMatchObject({
      code: 'vault/wrong-passphrase',
    });
    const again = await openLock(changed, { passphrase: 'battery staple' });
    expect(await nameOf(again, 'row', 'x')).toBe(await nameOf(keys, 'row', 'x'));
    const renewed = await rewrapRecovery(changed, { passphrase: 'battery staple' });
    await expect(openLock(renewed.row, { recoveryKey })).rejects.toMatchObject({
      code: 'vault/wrong-recovery-key',
    });
    const byPaper = await openLock(renewed.row, { recoveryKey: renewed.recoveryKey });
    expect(await nameOf(byPaper, 'row', 'x')).toBe(await nameOf(keys, 'row', 'x'));
  });
});

describe('the recovery key on paper', () => {
  it('is read back, whatever its bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 20, maxLength: 20 }), async (drawn) => {
        const written = await writeRecoveryKey(Uint8Array.from(drawn));
        expect(written).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){8}[0-9A-HJKMNP-TV-Z]{4}$/);
        expect(hex(await readRecoveryKey(written))).toBe(hex(drawn));
      }),
    );
  });

  it('with any one character changed is noticed', async () => {
    const written = await writeRecoveryKey(new Uint8Array(20).map((_, i) => 13 * i));
    for (let at = 0; at < written.length; at++) {
      if (written[at] === '-') continue;
      const other = written[at] === 'A' ? 'B' : 'A';
      await expect(
        readRecoveryKey(written.slice(0, at) + other + written.slice(at + 1)),
      ).rejects.toMatchObject({
        code: 'vault/mistyped-recovery-key',
      });
    }
  });
});
