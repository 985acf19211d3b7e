/** How hard a passphrase is to guess, in four words: a matter of length far more than of signs. */
export type Strength = 'none' | 'weak' | 'fair' | 'good' | 'strong';

export function strengthOf(passphrase: string): Strength {
  const letters = [...passphrase.trim()];
  const { length } = letters;
  const kinds = new Set(letters).size;
  if (length === 0) return 'none';
  if (length < 10 || kinds < 5) return 'weak';
  if (length < 14 || kinds < 8) return 'fair';
  return length < 20 ? 'good' : 'strong';
}
