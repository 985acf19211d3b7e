/** The project's own source files with their imports, read as text: what the architecture tests look at. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly Import[];
}

export interface Import {
  readonly specifier: string;
  /** Project path without query, with its extension, or null for a package. */
  readonly target: string | null;
  /** `import type`, erased before anything runs. */
  readonly typeOnly: boolean;
  /** `import()`: loaded later, so it closes no cycle of loading. */
  readonly dynamic: boolean;
}

const STATEMENT = /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[\w*{}\s,$]+\s+from\s+)?'([^']+)'/g;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;
const WORKER = /new URL\(\s*'([^']+\.worker\.ts)'/g;

export function readSources(): readonly SourceFile[] {
  const paths = [...walk('src'), ...walk('workers')].filter((path) => /\.(ts|svelte)$/.test(path));
  const known = new Set([...walk('src'), ...walk('workers')]);
  return paths.map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    return {
      path,
      text,
      lines: text.trimEnd().split('\n').length,
      imports: readImports(path, text, known),
    };
  });
}

/** The folder under src that a file belongs to; `main` for src/main.ts, `workers` for worker entries. */
export function areaOf(path: string): string {
  if (path.startsWith('workers/')) return 'workers';
  const [, area, rest] = path.split('/');
  return rest === undefined ? (area ?? '').replace('.ts', '') : (area ?? '');
}

function readImports(path: string, text: string, known: ReadonlySet<string>): readonly Import[] {
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean, dynamic: boolean) =>
    found.push({ specifier, target: resolve(path, specifier, known), typeOnly, dynamic });
  for (const match of text.matchAll(STATEMENT)) add(match[3] ?? '', match[2] !== undefined, false);
  for (const match of text.matchAll(DYNAMIC)) add(match[1] ?? '', false, true);
  for (const match of text.matchAll(WORKER)) add(match[1] ?? '', false, true);
  return found;
}

function resolve(from: string, specifier: string, known: ReadonlySet<string>): string | null {
  if (!specifier.startsWith('.')) return null;
  const base = join(dirname(from), specifier.replace(/\?.*$/, ''));
  const target = [base, `${base}.ts`, `${base}.svelte.ts`].find((path) => known.has(path));
  // A file of the project outside src and workers, such as package.json, belongs to no area.
  if (target === undefined && existsSync(join(ROOT, base))) return null;
  if (target === undefined) throw new Error(`${from} imports ${specifier}, which is not there.`);
  return target;
}

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield relative(ROOT, join(ROOT, path)).replaceAll('\\', '/');
  }
}
