/** docs/OPERATORS.md is this table; `npx vitest run --project unit tests/unit/ops/operators-table.test.ts -u` writes it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { FROM_SHAPES, loweringOf } from '../../../src/engine/plan/lowerings';
import type { Graph } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import type { OpSpec } from '../../../src/ops/define';
import { ALL_OPS, lookupOp } from '../../../src/ops/registry';
import { unpack } from '../../support/tar';
import { casesOf, exceptionOf, SUITES } from '../../conformance/suites';
import type { SuiteCase } from '../../conformance/suites';
import opsets from '../../fixtures/conformance/opsets.json';

const root = new URL('../../../', import.meta.url);
const FILE = fileURLToPath(new URL('docs/OPERATORS.md', root));
const FORMS: Readonly<Record<string, readonly number[]>> = opsets;
const TESTS = ['tests/unit/autodiff', 'tests/unit/ops'];

interface Tested {
  readonly all: number;
  readonly reference: number;
  readonly webgpu: number;
}

/** How many of ONNX's tests have an operator, and how many of them pass where. */
async function conformance(): Promise<Map<string, Tested>> {
  const counts = new Map<string, Tested>();
  for (const suite of SUITES) {
    const bytes = readFileSync(new URL(`tests/fixtures/conformance/onnx-${suite}.tar.gz`, root));
    for (const test of casesOf(suite, await unpack(new Uint8Array(bytes)))) {
      const [reference, webgpu] = (['reference', 'webgpu'] as const).map((executor) =>
        exceptionOf(executor, test) ? 0 : 1,
      );
      for (const op of operatorsOf(test)) {
        const before = counts.get(op) ?? { all: 0, reference: 0, webgpu: 0 };
        counts.set(op, {
          all: before.all + 1,
          reference: before.reference + (reference ?? 0),
          webgpu: before.webgpu + (webgpu ?? 0),
        });
      }
    }
  }
  return counts;
}

/** Operators as the file names them: a Scatter is one, though inside it is a ScatterElements. */
function operatorsOf({ listing, files }: SuiteCase): Set<string> {
  const bytes = files.get(`${listing.folder}${listing.model}`);
  if (!bytes) throw new Error(`${listing.name} has no model.`);
  const graph: Graph = readModel(bytes, { normalise: false });
  return new Set(graph.nodes.filter(({ domain }) => domain === '').map(({ op }) => op));
}

/** Operators that a test of gradients names. */
function checkedGradients(): ReadonlySet<string> {
  const names = new Set<string>();
  for (const folder of TESTS) {
    for (const file of readdirSync(new URL(folder, root))) {
      const text = readFileSync(new URL(`${folder}/${file}`, root), 'utf8');
      if (!text.includes('/gradient-check')) continue;
      for (const [, name = ''] of text.matchAll(/\b'?([A-Z][A-Za-z0-9]+)\b/g)) {
        if (lookupOp('', name)) names.add(name);
      }
    }
  }
  return names;
}

function node(spec: OpSpec) {
  const { name: op, domain } = spec;
  return { name: op, op, domain, inputs: [], outputs: [], attributes: new Map() };
}

const how = (own: boolean, word: string, { expand }: OpSpec): string =>
  own ? word : expand ? 'expansion' : '–';

function specsOf(domain: string): OpSpec[] {
  return ALL_OPS.filter((spec) => spec.domain === domain).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}

/** An expansion that no test differentiates is of whole numbers, or not claimed. */
function gradientOf(spec: OpSpec, checked?: ReadonlySet<string>): string {
  const own = spec.gradient !== undefined || spec.trainingForm !== undefined;
  const word = how(own, 'rule', spec);
  return word === 'expansion' && checked?.has(spec.name) === false ? '–' : word;
}

function row(spec: OpSpec, checked?: ReadonlySet<string>): string {
  const { name, inputs } = spec;
  const [least, most] = inputs;
  const count = least === most ? `${least}` : `${least}–${most === Infinity ? '…' : most}`;
  const folded = spec.domain === '' && FROM_SHAPES.has(name);
  const webgpu = folded ? 'folded' : how(loweringOf(node(spec)) !== undefined, 'kernel', spec);
  return `| ${name} | ${count} | ${webgpu} | ${gradientOf(spec, checked)} |`;
}

function standardRows(tested: ReadonlyMap<string, Tested>, checked: ReadonlySet<string>): string {
  return specsOf('')
    .map((spec) => {
      const forms = FORMS[spec.name]?.join(', ') ?? '';
      const { all, reference, webgpu } = tested.get(spec.name) ?? {
        all: 0,
        reference: 0,
        webgpu: 0,
      };
      const cases = all === 0 ? '–' : `${all}`;
      const passes = all === 0 ? '– | –' : `${reference} | ${webgpu}`;
      return `${row(spec, checked)} ${forms} | ${cases} | ${passes} |`;
    })
    .join('\n');
}

it('docs/OPERATORS.md lists the operators as they are', async () => {
  const checked = checkedGradients();
  const unchecked = specsOf('').filter(({ name, gradient }) => gradient && !checked.has(name));
  expect(
    unchecked.map(({ name }) => name),
    'gradient rules that no test compares with differences',
  ).toEqual([]);
  const standard = standardRows(await conformance(), checked);
  const others = [...new Set(ALL_OPS.map(({ domain }) => domain))].filter(
    (domain) => domain !== '',
  );
  const text = `# Operators

${specsOf('').length} operators of ONNX. Every one has a shape rule and a reference kernel in float64.

- **webgpu**: \`kernel\` is one of its own; \`expansion\`: it is rewritten in operators that have one; \`folded\`: its
  value is known before a graph runs; – : it runs on the processor only.
- **gradient**: \`rule\` is one of its own; \`expansion\`: through the operators that it is rewritten in, as far as those have
  one; – : not differentiable. Each is compared with central differences by a test.
- **forms**: opsets in which ONNX changed the operator. All of these up to opset 24 are read (of opsets 1 to 6 nearly
  all); inside, everything is opset 23.
- **cases**: how many of ONNX's own tests in tests/fixtures/conformance have the operator, and how many of those pass on
  **ref**erence and on **gpu** (CONFORMANCE.md says why the others do not).

Generated from \`src/ops/registry.ts\` by a test.

## ONNX (ai.onnx)

| operator | inputs | webgpu | gradient | forms | cases | ref | gpu |
| --- | --- | --- | --- | --- | --- | --- | --- |
${standard}

${others
  .map(
    (domain) => `## ${domain}

| operator | inputs | webgpu | gradient |
| --- | --- | --- | --- |
${specsOf(domain)
  .map((spec) => row(spec))
  .join('\n')}
`,
  )
  .join('\n')}
Operators of \`terrarium.training\` exist only while a model learns and never reach a finished one. Two kinds of
them have no expansion: optimisers, since each executor updates the weights itself, and DropoutMask, which is drawn on the
host where there is no kernel.
`;
  expect(existsSync(FILE), 'the file is committed').toBe(true);
  await expect(text).toMatchFileSnapshot(FILE);
});
