/** One seed for every property of a run (vitest.config.ts); a failing one prints it. */
import fc from 'fast-check';

declare const SEED_OF_PROPERTIES: number;

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: SEED_OF_PROPERTIES });
