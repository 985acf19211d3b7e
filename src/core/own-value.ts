/**
 * What a table of ours holds under a name out of a file. `table[name]` would also find what every object inherits: a
 * node whose operator is called "constructor" would be given a rule that nobody wrote.
 */
export function ownValue<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
