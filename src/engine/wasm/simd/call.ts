/** One node while it is lowered to kernels: what every lowering is given. */
import { AppError, invariant } from '../../../core/errors';
import type { DType } from '../../../core/dtype';
import type { Node, Tensor } from '../../../onnx/graph';
import { numbersOf } from '../../../ops/value';
import type { ConcreteType } from '../../analysis';
import type { Formula, StepPlan } from './plan';
import { productAnchor } from './product';
import type { Product } from './product';
import { expanded, isContiguous, isWhole, reshaped, rowMajor, whole } from './view';
import type { Kind, View } from './view';

/** A node that the emitter has no kernel for, in this form. */
export class Unsupported extends Error {}

export function kindOf(dtype: DType): Kind {
  switch (dtype) {
    case 'float32':
      return 'float';
    case 'bool':
      return 'bool';
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'int64':
      return 'int';
    default:
      throw new Unsupported(dtype);
  }
}

export interface Values {
  readonly plan: StepPlan;
  type(name: string): ConcreteType;
  constant(name: string): Tensor | undefined;
  get(name: string): View;
  set(name: string, view: View): void;
}

export type Lowering = (call: Call) => void;
export type LoweringTable = Readonly<Record<string, Lowering>>;

export class Call {
  readonly plan: StepPlan;

  constructor(
    readonly node: Node,
    readonly values: Values,
  ) {
    this.plan = values.plan;
  }

  has(index: number): boolean {
    return (this.node.inputs[index] ?? '') !== '';
  }

  wants(index: number): boolean {
    return (this.node.outputs[index] ?? '') !== '';
  }

  input(index: number): View {
    const name = this.node.inputs[index] ?? '';
    invariant(name !== '', `${this.node.op} lacks its input ${index}.`);
    return this.values.get(name);
  }

  dims(index: number): readonly number[] {
    return this.values.type(this.node.inputs[index] ?? '').dims;
  }

  /** Numbers of a constant input; undefined where it is not given. */
  constants(index: number): readonly number[] | undefined {
    if (!this.has(index)) return undefined;
    const tensor = this.values.constant(this.node.inputs[index] ?? '');
    if (tensor === undefined) throw new Unsupported(`input ${index} is not constant`);
    return numbersOf(tensor);
  }

  /** The value of an input that is one constant number. */
  scalar(index: number): number | undefined {
    const tensor = this.values.constant(this.node.inputs[index] ?? '');
    if (tensor === undefined || tensor.data.length !== 1) return undefined;
    return numbersOf(tensor)[0];
  }

  outputDims(index = 0): readonly number[] {
    return this.values.type(this.node.outputs[index] ?? '').dims;
  }

  outputKind(index = 0): Kind {
    return kindOf(this.values.type(this.node.outputs[index] ?? '').dtype);
  }

  give(view: View, index = 0): void {
    if (this.wants(index)) this.values.set(this.node.outputs[index] ?? '', view);
  }

  /** Memory for an output, which it is given at once; for one that nobody wants too. */
  output(index = 0, dims?: readonly number[], kind?: Kind): View {
    const shape = dims ?? this.outputDims(index);
    const name = this.node.outputs[index] || `${this.node.name}/${index}`;
    const made = this.plan.value(
      name,
      shape,
      kind ?? (this.wants(index) ? this.outputKind(index) : 'float'),
    );
    this.give(made, index);
    return made;
  }

  temporary(dims: readonly number[], kind: Kind = 'float'): View {
    return this.plan.value(`${this.node.name}/temporary`, dims, kind);
  }

  pointwise(inputs: readonly View[], output: View, formula: Formula, name = this.node.op): void {
    const wide = inputs.map((input) => {
      const spread = expanded(input, output.dims);
      // Only a value that is read whole can be a number that its group has just computed.
      return isWhole(input) && input.dims.join() === output.dims.join() ? input : spread;
    });
    this.plan.pointwise({ name, inputs: wide, output, formula });
  }

  product(product: Omit<Product, 'name'>): void {
    this.plan.anchor(productAnchor({ ...product, name: this.node.op }));
  }

  /** The same elements one after another. */
  contiguous(view: View): View {
    if (isContiguous(view)) return { ...view, strides: rowMajor(view.dims) };
    const copy = this.temporary(view.dims, view.kind);
    this.plan.pointwise({
      name: 'Copy',
      inputs: [view],
      output: copy,
      formula: (_, [x]) => x ?? raise(),
    });
    return copy;
  }

  reshape(view: View, dims: readonly number[]): View {
    const direct = reshaped(view, dims);
    if (direct) return direct;
    const copy = this.contiguous(view);
    return whole(copy.buffer, dims, view.kind);
  }
}

export function raise(): never {
  throw new AppError('engine/kernel', 'A kernel was written without one of its inputs.');
}
