/** docs/OPERATORS.md is this table; `npx vitest run --project unit tests/unit/ops -u` writes it anew. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ALL_OPS } from '../../../src/ops/registry';

const FILE = fileURLToPath(new URL('../../../docs/OPERATORS.md', import.meta.url));

function table(domain: string): string {
  const rows = ALL_OPS.filter((spec) => spec.domain === domain)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, inputs: [least, most], gradient, expand }) => {
      const count = least === most ? `${least}` : `${least}–${most === Infinity ? '…' : most}`;
      const last = domain === '' ? '' : ` ${expand ? 'yes' : '–'} |`;
      return `| ${name} | ${count} | ${gradient ? 'yes' : '–'} |${last}`;
    });
  const head = ['| operator | inputs | gradient |', '| --- | --- | --- |'];
  if (domain !== '') {
    head[0] += ' expansion |';
    head[1] += ' --- |';
  }
  return [...head, ...rows].join('\n');
}

it('docs/OPERATORS.md lists the operators as they are', async () => {
  const text = `# Operators

Every operator has a shape rule and a reference kernel in float64. "Gradient" says that \`differentiate\` passes through
it; "expansion" that it can be rewritten in standard operators, so that any ONNX runtime runs it. Generated from
\`src/ops/registry.ts\` by a test.

## ONNX (ai.onnx, opset 23 inside)

${table('')}

Not carried out, and refused by name: windows that are not 2-D, \`ceil_mode\`, negative or non-constant padding, quantisation in
blocks, text tensors.

## While a model learns (terrarium.training)

${table('terrarium.training')}

Optimisers have no expansion: each executor updates the weights itself. None of these reach a finished model.
`;
  expect(existsSync(FILE), 'the file is committed').toBe(true);
  await expect(text).toMatchFileSnapshot(FILE);
});
