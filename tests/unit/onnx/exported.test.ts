/**
 * Graphs as PyTorch exports them, with open axes: inferred once with symbols, each length must give, for several sizes,
 * what onnxruntime measured; inferred for a size, it must be that.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { evaluateDim } from '../../../src/onnx/dim';
import { readModel } from '../../../src/onnx/reader';
import { inferShapes } from '../../../src/ops/infer-shapes';

interface Case {
  readonly sizes: Readonly<Record<string, number>>;
  readonly shapes: Readonly<Record<string, readonly [dtype: string, dims: readonly number[]]>>;
}

const FOLDER = 'tests/fixtures/onnx/exported';
const golden = JSON.parse(readFileSync(`${FOLDER}.json`, 'utf8')) as Record<string, Case[]>;

describe.each(Object.keys(golden))('%s', (name) => {
  const graph = readModel(readFileSync(`${FOLDER}/${name}.onnx`));
  const cases = golden[name] ?? [];
  // The exporter may rename an axis that it was given a name for.
  const names = (sizes: Case['sizes']): Map<string, number> => {
    const [shown] = graph.inputs;
    const lengths = shown?.dims.filter((dim) => typeof dim === 'string') ?? [];
    return new Map(lengths.map((dim, index) => [dim, Object.values(sizes)[index] ?? NaN]));
  };

  it('has the lengths that onnxruntime measured, with symbols', () => {
    const types = inferShapes(graph);
    const open: string[] = [];
    let compared = 0;
    for (const { sizes, shapes } of cases) {
      for (const [value, [dtype, dims]] of Object.entries(shapes)) {
        const type = types.get(value);
        // What a value became in our form may have another name.
        if (!type) continue;
        compared++;
        expect(type.dtype, value).toBe(dtype);
        const found = type.dims.map((dim) => evaluateDim(dim, names(sizes)));
        if (found.includes(undefined)) open.push(`${value}: ${type.dims.join()}`);
        else expect(found, `${value}: ${type.dims.join()}`).toEqual(dims);
      }
    }
    expect(open).toEqual([]);
    expect(compared).toBeGreaterThan(0.9 * cases.length * graph.nodes.length);
  });

  it('has the lengths that onnxruntime measured, for each size', () => {
    for (const { sizes, shapes } of cases) {
      const types = inferShapes(graph, { dims: names(sizes) });
      for (const [value, [, dims]] of Object.entries(shapes)) {
        if (types.has(value)) expect(types.get(value)?.dims, value).toEqual(dims);
      }
    }
  });

  it('says the shape of its output', () => {
    const [output] = graph.outputs;
    const type = inferShapes(graph).get(output?.name ?? '');
    const values = names(cases[0]?.sizes ?? {});
    const measured = cases[0]?.shapes[output?.name ?? '']?.[1];
    expect(type?.dims.map((dim) => evaluateDim(dim, values))).toEqual(measured);
  });

  it('runs on the reference interpreter', () => {
    const [input] = graph.inputs;
    const [first] = cases;
    if (!input || !first) throw new Error('no case');
    const dims = input.dims.map((dim) => evaluateDim(dim, names(first.sizes)) ?? 0);
    const data = new Float64Array(dims.reduce((a, b) => a * b, 1)).map((_, i) =>
      input.dtype === 'int64' ? i % 11 : Math.sin(i),
    );
    const results = runGraph(graph, new Map([[input.name, { dtype: input.dtype, dims, data }]]));
    const [output] = graph.outputs;
    const [, expected] = first.shapes[output?.name ?? ''] ?? [];
    expect(results.get(output?.name ?? '')?.dims).toEqual(expected);
  });
});
