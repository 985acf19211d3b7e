/**
 * `stem`, or with a number behind it where that is taken; the answer is taken from then on. `untried` remembers below
 * which number nothing is free: files with a hundred thousand equal names would otherwise be read in quadratic time.
 */
export function freshName(stem: string, taken: Set<string>, untried: Map<string, number>): string {
  let name = stem;
  let index = untried.get(stem) ?? 1;
  for (; taken.has(name); index++) name = `${stem}_${index}`;
  untried.set(stem, index);
  taken.add(name);
  return name;
}
