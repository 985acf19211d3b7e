/** How often a fault is tried: few times in `npm test`, many in `npm run faults`. Both draw from the run's seed. */

declare const MANY_ROUNDS: boolean;
declare const SEED_OF_PROPERTIES: number;

export const seed = SEED_OF_PROPERTIES;

export function rounds(few: number, many: number): number {
  return MANY_ROUNDS ? many : few;
}
