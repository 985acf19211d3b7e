/** Words in the right number, by the rules of English (the catalogue's language). */
const rules = new Intl.PluralRules('en');

/** `count(3, 'row', 'rows')` is "3 rows", the number in the reader's own locale. */
export function count(n: number, one: string, other: string): string {
  return `${new Intl.NumberFormat().format(n)} ${rules.select(n) === 'one' ? one : other}`;
}
