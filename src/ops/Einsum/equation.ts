/**
 * The text of an Einsum: `ij,jk->ik`. Spaces count nothing; without an arrow the output has the ellipsis, then the
 * labels that occur once, in order of the alphabet. The axes of an ellipsis are labels `0`, `1` … from the right,
 * so that operands with fewer of them broadcast.
 */
import type { Dim, Node } from '../../onnx/graph';
import { stringAttribute } from '../attributes';
import { dimAt, shapeError, shapeText } from '../shapes';

export interface Equation {
  /** Labels of each operand's axes. */
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
  /** Length of each label; 1 only where all that carry it are 1 long. */
  readonly sizes: ReadonlyMap<string, Dim>;
}

const ELLIPSIS = '...';

function labelsOf(node: Node, term: string, rank: number): string[] {
  const [before = '', after, ...rest] = term.split(ELLIPSIS);
  const named = before.length + (after?.length ?? 0);
  const open = after === undefined ? 0 : rank - named;
  if (rest.length > 0 || !/^[A-Za-z]*$/.test(before + (after ?? '')) || open < 0) {
    throw shapeError(node, 'equation', 'letters with at most one "..." a term', `"${term}"`);
  }
  const middle = Array.from({ length: open }, (_, index) => `${open - 1 - index}`);
  return [...before, ...middle, ...(after ?? '')];
}

export function parseEquation(node: Node, shapes: readonly (readonly Dim[])[]): Equation {
  const text = stringAttribute(node, 'equation').replaceAll(' ', '');
  const [left = '', right] = text.split('->');
  const terms = left.split(',');
  if (terms.length !== shapes.length) {
    throw shapeError(node, 'equation', `${shapes.length} terms`, `"${text}"`);
  }
  const sizes = new Map<string, Dim>();
  const operands = terms.map((term, index) => {
    const dims = shapes[index] ?? [];
    const labels = labelsOf(node, term, dims.length);
    if (labels.length !== dims.length) {
      const found = `"${term}" for ${shapeText(dims)}`;
      throw shapeError(node, `input ${index}`, 'a label for each axis', found);
    }
    labels.forEach((label, axis) => join(node, sizes, label, dimAt(dims, axis)));
    return labels;
  });
  const open = [...sizes.keys()].filter((label) => /\d/.test(label)).sort((a, b) => +b - +a);
  const uses = (label: string) => operands.flat().filter((other) => other === label).length;
  const implicit = () => [
    ...open,
    ...[...sizes.keys()].filter((label) => !/\d/.test(label) && uses(label) === 1).sort(),
  ];
  const output =
    right === undefined
      ? implicit()
      : labelsOf(node, right, right.replace(ELLIPSIS, '').length + open.length * ellipses(right));
  const unknown = output.find((label) => !sizes.has(label));
  if (unknown !== undefined || new Set(output).size !== output.length) {
    throw shapeError(node, 'equation', 'an output of labels of the inputs, each once', `"${text}"`);
  }
  return { operands, output, sizes };
}

const ellipses = (term: string) => (term.includes(ELLIPSIS) ? 1 : 0);

/** Equal lengths agree, 1 gives way, and a symbolic length gives way to a number. */
function join(node: Node, sizes: Map<string, Dim>, label: string, dim: Dim): void {
  const known = sizes.get(label);
  if (known === undefined || known === 1 || (typeof known === 'string' && dim !== 1)) {
    sizes.set(label, dim);
  } else if (typeof dim === 'number' && dim !== 1 && dim !== known) {
    throw shapeError(node, `label ${label} of the equation`, `${known} long`, `${dim}`);
  }
}
