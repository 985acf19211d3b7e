/**
 * Where the State's entries lie in its one buffer: weights first, then their moments in the same order, so that an
 * update walks all of them with one index. Moments are known by their names, `<weight>/m` and `<weight>/v`.
 */
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { StateSpec } from '../executor';
import { padded } from './memory';

export interface StateEntry extends StateSpec {
  /** In elements, as `offset`. */
  readonly size: number;
  readonly offset: number;
}

export class StateLayout {
  readonly entries: ReadonlyMap<string, StateEntry>;
  /** Elements of the buffer. */
  readonly size: number;

  constructor(specs: readonly StateSpec[]) {
    const names = new Set(specs.map(({ name }) => name));
    invariant(names.size === specs.length, 'The state has two entries of one name.');
    const group = ({ name }: StateSpec): number => {
      for (const [rank, suffix] of ['/m', '/v'].entries()) {
        if (name.endsWith(suffix) && names.has(name.slice(0, -suffix.length))) return rank + 1;
      }
      return names.has(`${name}/m`) ? 0 : 3;
    };
    const entries = new Map<string, StateEntry>();
    let offset = 0;
    for (const rank of [0, 1, 2, 3]) {
      for (const spec of specs) {
        if (group(spec) !== rank) continue;
        const size = sizeOf(spec.dims);
        entries.set(spec.name, { ...spec, size, offset });
        offset += padded(size);
      }
    }
    this.entries = entries;
    this.size = offset;
  }

  require(name: string): StateEntry {
    const found = this.entries.get(name);
    if (found === undefined) {
      throw new AppError('engine/state', `The state has no entry named "${name}".`, { name });
    }
    return found;
  }
}
