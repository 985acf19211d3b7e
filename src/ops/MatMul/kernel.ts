/**
 * Matrix product without shared memory: each thread keeps a small tile of the output in registers and walks the
 * inner axis in order. On an emulated GPU, where barriers cost most, it is many times as fast as tfjs's tiled
 * kernels, and with few outputs it is on any; large products on hardware go to tfjs (tfjs.ts chooses).
 */
import { f32, kernel } from '../lowering/kernel';
import type { Backend, TensorInfo } from '../lowering/tfjs';

export interface Product {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Whether each operand has a matrix of its own for each of the batch. */
  readonly batchedA: boolean;
  readonly batchedB: boolean;
  readonly output: readonly number[];
  readonly alpha: number;
  /** Sums of int32, which wrap; alpha is 1 then. */
  readonly integer?: boolean;
  /** Added at the end: WGSL of its factor and address, from `row` and `column`; its array is `x2`. */
  readonly bias?: {
    readonly beta: number;
    readonly rowStride: number;
    readonly columnStride: number;
  };
}

/** Below so many threads larger tiles starve the GPU. */
const FEW_THREADS = 1024;
const TILES: readonly (readonly [number, number])[] = [
  [4, 4],
  [2, 4],
  [1, 4],
  [1, 1],
];

function tileOf({ batch, rows, columns }: Product): readonly [number, number] {
  const threads = ([high, wide]: readonly [number, number]) =>
    batch * Math.ceil(rows / high) * Math.ceil(columns / wide);
  return TILES.find((tile) => threads(tile) >= FEW_THREADS) ?? [1, 1];
}

export function directProduct(
  backend: Backend,
  product: Product,
): (inputs: readonly TensorInfo[]) => TensorInfo {
  const { batch, rows, columns, inner, transposeA, transposeB, batchedA, batchedB } = product;
  const [high, wide] = tileOf(product);
  const across = Math.ceil(columns / wide);
  const down = Math.ceil(rows / high);
  const lanes = (count: number) => Array.from({ length: count }, (_, index) => index);
  const each = (line: (r: number, c: number) => string) =>
    lanes(high).flatMap((r) => lanes(wide).map((c) => `  ${line(r, c)}`));
  // Threads at the edge compute a clamped neighbour again, and do not write it.
  const clamped = (value: string, size: number, tile: number) =>
    size % tile === 0 ? value : `min(${value}, ${size - 1})`;
  const [rowStep, innerStepA] = transposeA ? [1, rows] : [inner, 1];
  const [innerStepB, columnStep] = transposeB ? [1, inner] : [columns, 1];
  const { bias, alpha } = product;
  const factor = alpha === 1 ? '' : `${f32(alpha)} * `;
  const addend = (r: number, c: number) => {
    if (bias === undefined) return '';
    const beta = bias.beta === 1 ? '' : `${f32(bias.beta)} * `;
    return ` + ${beta}x2[(row + ${r}) * ${bias.rowStride} + (column + ${c}) * ${bias.columnStride}]`;
  };
  const write = (r: number, c: number) => {
    const guards = [
      rows % high === 0 ? '' : `row + ${r} < ${rows}`,
      columns % wide === 0 ? '' : `column + ${c} < ${columns}`,
    ].filter((guard) => guard !== '');
    const store = `result[place + ${r * columns + c}] = ${factor}t${r}_${c}${addend(r, c)};`;
    return guards.length === 0 ? store : `if (${guards.join(' && ')}) { ${store} }`;
  };
  return kernel(backend, {
    label: 'MatMul',
    output: { dtype: product.integer ? 'int32' : 'float32', dims: product.output },
    inputCount: bias === undefined ? 2 : 3,
    threads: batch * down * across,
    body: `  let column = (index % ${across}) * ${wide};
  let row = ((index / ${across}) % ${down}) * ${high};
  let n = index / ${across * down};
${lanes(high)
  .map(
    (r) =>
      `  var a${r} = ${batchedA ? `n * ${rows * inner} + ` : ''}${clamped(`(row + ${r})`, rows, high)} * ${rowStep};`,
  )
  .join('\n')}
${lanes(wide)
  .map(
    (c) =>
      `  var b${c} = ${batchedB ? `n * ${inner * columns} + ` : ''}${clamped(`(column + ${c})`, columns, wide)} * ${columnStep};`,
  )
  .join('\n')}
${each((r, c) => `var t${r}_${c} = ${product.integer ? '0' : '0.0'};`).join('\n')}
  for (var k = 0; k < ${inner}; k++) {
${lanes(high)
  .map((r) => `    let p${r} = x0[a${r}]; a${r} += ${innerStepA};`)
  .join('\n')}
${lanes(wide)
  .map((c) => `    let q${c} = x1[b${c}]; b${c} += ${innerStepB};`)
  .join('\n')}
${each((r, c) => `  t${r}_${c} += p${r} * q${c};`).join('\n')}
  }
  let place = n * ${rows * columns} + row * ${columns} + column;
${each(write).join('\n')}`,
  });
}
