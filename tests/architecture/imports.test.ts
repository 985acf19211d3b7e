import { describe, expect, it } from 'vitest';
import matrix from './matrix.json';
import { areaOf, readSources } from './sources';
import type { SourceFile } from './sources';

const allowed = new Map<string, readonly string[]>(Object.entries(matrix));
const sources = readSources();

/** Which package may be imported where: a path prefix or pattern each. */
const PACKAGES: readonly [RegExp, RegExp][] = [
  [/^@tensorflow\//, /^src\/engine\/webgpu\//],
  [/^onnxruntime-web/, /^src\/(engine\/wasm|inference)\//],
  [/^dexie/, /^src\/storage\//],
  [/^comlink/, /^(src\/services\/|workers\/|src\/protocol\/errors\.ts$)/],
];

/** Workers that are no service of the page, but more threads of one. */
const NESTED = ['workers/parsers.ts', 'src/engine/wasm/simd/threads.ts'];

const LIMITS: readonly [RegExp, number][] = [
  [/^workers\/.*\.worker\.ts$/, 40],
  [/\.svelte$/, 350],
  [/\.ts$/, 500],
];

describe('architecture', () => {
  it('reads the sources at all', () => {
    expect(sources.length).toBeGreaterThan(100);
    expect(sources.flatMap((file) => file.imports).length).toBeGreaterThan(300);
  });

  it('imports only along the matrix', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const from = areaOf(file.path);
      const may = allowed.get(from);
      if (!may) wrong.push(`${file.path}: the area "${from}" is not in the matrix`);
      for (const { target, dynamic } of file.imports) {
        if (target === null) continue;
        const to = areaOf(target);
        // `new URL('….worker.ts')` is how a service starts a worker.
        if (to === 'workers' && from === 'services' && dynamic) continue;
        if (to !== from && !may?.includes(to)) wrong.push(`${file.path} -> ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('keeps each heavy package in its place', () => {
    const wrong = sources.flatMap((file) =>
      file.imports
        .filter(({ specifier }) =>
          PACKAGES.some(([name, place]) => name.test(specifier) && !place.test(file.path)),
        )
        .map(({ specifier }) => `${file.path} -> ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('starts workers only in services, nested parse workers in the data worker, and threads of a trainer', () => {
    const wrong = sources
      .filter(({ text }) => /new Worker\(/.test(text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')))
      .map(({ path }) => path)
      .filter((path) => !path.startsWith('src/services/') && !NESTED.includes(path));
    expect(wrong).toEqual([]);
  });

  it('waits for promises in templates by Loaded, which forgets what was left (see there)', () => {
    const wrong = sources.filter(
      ({ path, text }) => path.endsWith('.svelte') && /\n\s*\{#await/.test(text),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  it('has no import cycle', () => {
    expect(findCycles(sources)).toEqual([]);
  });

  it('has no barrels and no overlong files', () => {
    const wrong = sources.flatMap(({ path, lines }) => {
      const limit = LIMITS.find(([pattern]) => pattern.test(path))?.[1] ?? Infinity;
      return [
        ...(path.endsWith('/index.ts') ? [`${path} is a barrel`] : []),
        ...(lines > limit ? [`${path} has ${lines} lines, more than ${limit}`] : []),
      ];
    });
    expect(wrong).toEqual([]);
  });

  it('finds a planted cycle and a planted wrong import', () => {
    const file = (path: string, target: string): SourceFile => ({
      path,
      text: '',
      lines: 1,
      imports: [{ specifier: target, target, typeOnly: false, dynamic: false }],
    });
    expect(findCycles([file('src/a.ts', 'src/b.ts'), file('src/b.ts', 'src/a.ts')])).toHaveLength(
      1,
    );
    expect(allowed.get('core')).not.toContain('ui');
  });
});

/** Cycles of static imports; types count too, since they bind a reader just as well. */
function findCycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const seen = trail.indexOf(path);
    if (seen >= 0) {
      cycles.push([...trail.slice(seen), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const { target, dynamic } of byPath.get(path)?.imports ?? []) {
      if (target !== null && !dynamic) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const { path } of files) visit(path, []);
  return cycles;
}
