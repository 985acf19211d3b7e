/**
 * The packed suites and what is expected of them: that every test passes, but for those in exceptions.json. A listed
 * test that passes is a failure too, and so is an entry that no test matches, so the list cannot rot.
 */
import type { ExecutorName } from '../../src/engine/executor';
import exceptions from './exceptions.json';
import { findCases } from './harness/case';
import type { CaseListing } from './harness/case';
import { runCase } from './harness/run';
import type { Evaluate, Outcome } from './harness/run';

export type Suite = '1.12' | '1.23' | 'exported';
export const SUITES: readonly Suite[] = ['1.12', '1.23', 'exported'];

interface Exception {
  readonly reason: string;
  readonly executors: readonly string[];
  /** `suite/test`; a star stands for any text. */
  readonly tests: readonly string[];
}

const EXCEPTIONS: readonly Exception[] = exceptions;

export interface SuiteCase {
  readonly suite: Suite;
  readonly listing: CaseListing & { readonly folder: string };
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export function casesOf(suite: Suite, files: ReadonlyMap<string, Uint8Array>): SuiteCase[] {
  return findCases([...files.keys()], suite).map((listing) => ({ suite, listing, files }));
}

export function runSuiteCase({ listing, files }: SuiteCase, evaluate: Evaluate): Promise<Outcome> {
  const read = (path: string): Promise<Uint8Array> => {
    const bytes = files.get(listing.folder + path);
    return bytes ? Promise.resolve(bytes) : Promise.reject(new Error(`There is no ${path}.`));
  };
  return runCase(listing, read, evaluate);
}

function matches(pattern: string, { suite, listing }: SuiteCase): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(`${suite}/${listing.name}`);
}

const holdsFor = ({ executors }: Exception, executor: ExecutorName): boolean =>
  executors.includes(executor);

/** The entry that lists a test, where one does. */
export function exceptionOf(executor: ExecutorName, test: SuiteCase): Exception | undefined {
  return EXCEPTIONS.find(
    (entry) => holdsFor(entry, executor) && entry.tests.some((pattern) => matches(pattern, test)),
  );
}

/** undefined: as expected; otherwise what is not. */
export function unexpected(
  executor: ExecutorName,
  test: SuiteCase,
  { status, reason }: Outcome,
): string | undefined {
  const listed = exceptionOf(executor, test);
  const name = `${test.suite}/${test.listing.name}`;
  if (status !== 'pass') return listed ? undefined : `${name}: ${status} — ${reason}`;
  return listed && `${name} passes: exceptions.json must not list it ("${listed.reason}").`;
}

/** Patterns for this executor that no test matches. */
export function staleExceptions(executor: ExecutorName, all: readonly SuiteCase[]): string[] {
  return EXCEPTIONS.filter((entry) => holdsFor(entry, executor))
    .flatMap(({ tests }) => tests)
    .filter((pattern) => !all.some((test) => matches(pattern, test)));
}
