/**
 * The pseudo-locale: every string of the catalogue 40 % longer, accented and bracketed, and the page from right to
 * left. What stays plain on screen is not in the catalogue; what is cut off has no room for another language.
 */
const ACCENTS: Readonly<Record<string, string>> = {
  a: 'á',
  e: 'é',
  i: 'í',
  o: 'ó',
  u: 'ú',
  A: 'Á',
  E: 'É',
  I: 'Í',
  O: 'Ó',
  U: 'Ú',
  c: 'ç',
  n: 'ñ',
  y: 'ý',
};

export function lengthen(text: string): string {
  const accented = text.replace(/[aeiouAEIOUcny]/g, (letter) => ACCENTS[letter] ?? letter);
  // In words of its own, as a longer language would have them: a line must still break.
  const padding = '~'.repeat(Math.ceil(text.length * 0.4)).replace(/~{6}(?=~)/g, '$& ');
  return `[${accented}${text.length > 8 ? ' ' : ''}${padding}]`;
}

/** The same catalogue with every string, and every string that a function returns, lengthened. */
export function pseudoLocale<T>(catalogue: T): T {
  return convert(catalogue) as T;
}

function convert(node: unknown): unknown {
  if (typeof node === 'string') return lengthen(node);
  if (typeof node === 'function') {
    return (...parameters: unknown[]): unknown => convert(node(...parameters));
  }
  if (Array.isArray(node)) return node.map(convert);
  if (node !== null && typeof node === 'object') {
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, convert(value)]));
  }
  return node;
}
