/**
 * The kernels of a step before they are fused: values with their homes, and what computes them, in order. Lowerings
 * fill it through PlanBuilder.
 */
import { sizeOf } from '../../core/dtype';
import { invariant } from '../../core/errors';
import { deviceType } from '../../ops/lowering/context';
import type {
  ColdSpec,
  DeviceTensor,
  DeviceTraits,
  KernelSpec,
  PlanBuilder,
  PointwiseSpec,
  StaticType,
} from '../../ops/lowering/plan';
import type { OptimiserPlan } from '../optimiser';
import { scratchSize, tableSize } from './update-table';

/** Where a value is kept: made by a step (`step`), or there before it. */
export type Home =
  | { readonly kind: 'step' }
  | { readonly kind: 'feed'; readonly name: string }
  | { readonly kind: 'state'; readonly name: string }
  | { readonly kind: 'constant'; readonly data: Float32Array | Int32Array };

export interface PlanValue {
  readonly id: number;
  readonly type: 'f32' | 'i32';
  /** In elements of 4 bytes. */
  readonly size: number;
  readonly home: Home;
  /** Name in the graph, for people; '' for what lies inside an operator. */
  name: string;
  /** May be stored with half the bits, where a plan does so. */
  halves: boolean;
}

interface Common {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Names of the graph's nodes that it belongs to. */
  readonly nodes: readonly string[];
}

export interface Pointwise extends Common {
  readonly kind: 'pointwise';
  readonly spec: PointwiseSpec;
}

export interface Core extends Common {
  readonly kind: 'core';
  readonly spec: KernelSpec;
}

export interface Cold extends Common {
  readonly kind: 'cold';
  readonly spec: ColdSpec;
}

/**
 * Clipping and update of every weight; reads gradients and writes the State where they lie. Inputs: learning rate,
 * step, clip norm, the gradients in the optimiser's order, then factors and loss scale where the optimiser has them,
 * then the table. Outputs: grad_norm, step_done, and memory between its kernels.
 */
export interface Update extends Common {
  readonly kind: 'update';
  readonly optimiser: OptimiserPlan;
  /** Where everything lies; filled when memory is planned. */
  readonly table: Int32Array;
}

export type PlanKernel = Pointwise | Core | Cold | Update;

/** One decision that a lowering left to the plan. */
export interface Choice {
  /** Node whose lowering asked. */
  readonly node: string;
  readonly family: string;
  readonly sizes: readonly number[];
  readonly variants: readonly string[];
  readonly chosen: string;
}

export type Variants = (family: string, sizes: readonly number[]) => string | undefined;

export class KernelList implements PlanBuilder {
  readonly traits: DeviceTraits;
  readonly halfFactors: boolean;
  readonly values: PlanValue[] = [];
  readonly kernels: PlanKernel[] = [];
  readonly choices: Choice[] = [];
  readonly #variants: Variants;
  /** Whose work is being added. */
  node = '';

  constructor(traits: DeviceTraits, variants: Variants = () => undefined, halfFactors = false) {
    this.traits = traits;
    this.halfFactors = halfFactors;
    this.#variants = variants;
  }

  /** A value that is there before the step. */
  resident(type: StaticType, home: Exclude<Home, { kind: 'step' }>, name: string): DeviceTensor {
    return this.#value(type, home, name);
  }

  pointwise(spec: PointwiseSpec): DeviceTensor {
    const output = this.#value(spec.output, { kind: 'step' });
    if (sizeOf(output.dims) > 0) {
      const inputs = spec.inputs.map(({ value }) => value);
      const outputs = [output.value];
      this.kernels.push({ kind: 'pointwise', spec, inputs, outputs, nodes: [this.node] });
    }
    return output;
  }

  kernel(spec: KernelSpec): readonly DeviceTensor[] {
    const outputs = spec.outputs.map((type) => this.#value(type, { kind: 'step' }));
    if (outputs.some(({ dims }) => sizeOf(dims) > 0)) {
      this.kernels.push({
        kind: 'core',
        spec,
        inputs: spec.inputs.map(({ value }) => value),
        outputs: outputs.map(({ value }) => value),
        nodes: [this.node],
      });
    }
    return outputs;
  }

  cold(spec: ColdSpec): readonly DeviceTensor[] {
    const outputs = spec.outputs.map((type) => this.#value(type, { kind: 'step' }));
    this.kernels.push({
      kind: 'cold',
      spec,
      inputs: spec.inputs.map(({ value }) => value),
      outputs: outputs.map(({ value }) => value),
      nodes: [this.node],
    });
    return outputs;
  }

  /** Gives the tensors grad_norm and step_done. */
  update(optimiser: OptimiserPlan, inputs: readonly DeviceTensor[]): readonly DeviceTensor[] {
    const scalar = { dtype: 'float32', dims: [] } as const;
    const gradNorm = this.#value(scalar, { kind: 'step' });
    const stepDone = this.#value(scalar, { kind: 'step' });
    const sizes = inputs.slice(3, 3 + optimiser.weights.length).map(({ dims }) => sizeOf(dims));
    const table = new Int32Array(tableSize(sizes));
    const scratch = this.#value({ dtype: 'float32', dims: [scratchSize(sizes)] }, { kind: 'step' });
    this.kernels.push({
      kind: 'update',
      optimiser,
      table,
      inputs: [...inputs, this.constant([table.length], table)].map(({ value }) => value),
      outputs: [gradNorm, stepDone, scratch].map(({ value }) => value),
      nodes: [this.node],
    });
    return [gradNorm, stepDone];
  }

  reshape(x: DeviceTensor, dims: readonly number[]): DeviceTensor {
    invariant(sizeOf(x.dims) === sizeOf(dims), 'A tensor keeps its size under another shape.');
    return { ...x, dims };
  }

  constant(dims: readonly number[], data: Float32Array | Int32Array): DeviceTensor {
    const dtype = data instanceof Float32Array ? 'float32' : 'int32';
    return this.#value({ dtype, dims }, { kind: 'constant', data });
  }

  choose<Variant extends string>(
    family: string,
    sizes: readonly number[],
    variants: readonly Variant[],
    fixed: Variant,
  ): Variant {
    const wanted = this.#variants(family, sizes);
    const chosen = variants.find((variant) => variant === wanted) ?? fixed;
    this.choices.push({ node: this.node, family, sizes, variants, chosen });
    return chosen;
  }

  #value({ dtype, dims }: StaticType, home: Home, name = ''): DeviceTensor {
    const device = deviceType(dtype);
    const type = device === 'float32' ? 'f32' : 'i32';
    const id = this.values.length;
    this.values.push({ id, type, size: sizeOf(dims), home, name, halves: false });
    return { value: id, dtype: device, dims };
  }
}
