/** What tools/conformance.mjs bundles to run the tests in Node. */
import { evaluateReference } from '../../../src/engine/reference/evaluate';
import type { CaseListing, ReadFile } from './case';
import { runCase } from './run';
import type { Outcome } from './run';

export { findCases } from './case';
export { unpack } from '../../support/tar';

export function runOnReference(listing: CaseListing, read: ReadFile): Promise<Outcome> {
  return runCase(listing, read, evaluateReference);
}
