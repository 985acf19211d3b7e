/**
 * What a lowering works with: symbolic tensors of the device, and a plan that it adds kernels to. A lowering is called
 * once for a node, when a graph is compiled; nothing runs then. All sizes are known, so they stand as literals in the
 * WGSL.
 *
 * Kernels read input `n` with `xn(i)` and write output `n` with `yn(i, value)`, where `i` is the row-major number of
 * the element. These are functions, so that the compiler (engine/plan) can put another kernel's work behind them: a
 * pointwise producer is computed where it is read, and a pointwise consumer where the result is written. Nothing else
 * is needed for a bias, an activation or a residual to become part of a matrix product.
 */
import type { DType } from '../../core/dtype';
import type { Node, Tensor } from '../../onnx/graph';

/** Every float is float32 on the device (rounded only where Cast says so); every integer is int32; bool is int32 0 or 1. */
export type DeviceType = 'float32' | 'int32' | 'bool';

export interface StaticType {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/** A value of the plan under one shape. */
export interface DeviceTensor {
  /** Tensors of the same number hold the same elements. */
  readonly value: number;
  readonly dtype: DeviceType;
  readonly dims: readonly number[];
}

/** What kernels may depend on. Equal traits mean equal plans. */
export interface DeviceTraits {
  /** The GPU is emulated on the processor: barriers are dear, and threads few. */
  readonly software: boolean;
  readonly subgroups: boolean;
  /** WGSL has the type f16. */
  readonly float16: boolean;
  /** Threads and bytes that one workgroup may have. */
  readonly workgroupThreads: number;
  readonly workgroupBytes: number;
}

/** Each element of the output is one expression: what fuses with everything. */
export interface PointwiseSpec {
  /** Operator or what part of it, for people. */
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly output: StaticType;
  /** Statements before the expression. */
  readonly lets?: string;
  /**
   * WGSL of the element number `index` (i32). A read at the same place is spelled `x0(index)` exactly; any other
   * address is fine, too.
   */
  readonly value: string;
}

export interface KernelSpec {
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly outputs: readonly StaticType[];
  /**
   * Statements for each `index` (i32) below `items`; with `workgroups`, for each thread `local` of each `group`.
   * Every element of every output is written exactly once, and none is read back.
   */
  readonly body: string;
  /** The first output's size where absent. */
  readonly items?: number;
  /** Whole workgroups instead of independent items, so that barriers are allowed. */
  readonly workgroups?: {
    readonly count: number;
    /** Threads of each. */
    readonly size: number;
  };
  /** Uses `subgroup…` and `quad…` functions; only where the traits have them. */
  readonly subgroups?: boolean;
  /** Multiply-adds of all of it, where they are many more than the elements read and written. */
  readonly work?: number;
  /** At module level: `var<workgroup>` memory, functions of this kernel. */
  readonly declarations?: string;
  /** Inputs of which each element is read about once: their producers may be computed in place. */
  readonly streams?: readonly number[];
  /** Outputs that nothing may be fused to: where writing is not by independent elements. */
  readonly plainOutputs?: boolean;
}

/** A kernel of tfjs, for an operator that is too rare to have one of ours; it splits the plan. */
export interface ColdSpec {
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly outputs: readonly StaticType[];
  /** Name of the tfjs kernel, its inputs by name in the order of `inputs`, and its attributes. */
  readonly kernel: string;
  readonly names: readonly string[];
  readonly attributes: Readonly<Record<string, number | boolean | string | readonly number[]>>;
}

export interface PlanBuilder {
  readonly traits: DeviceTraits;
  /** Factors may be float16 where sums are float32: the run asked for it, and WGSL has the type. */
  readonly halfFactors: boolean;
  pointwise(spec: PointwiseSpec): DeviceTensor;
  kernel(spec: KernelSpec): readonly DeviceTensor[];
  cold(spec: ColdSpec): readonly DeviceTensor[];
  /** The same elements under another shape: costs nothing. */
  reshape(x: DeviceTensor, dims: readonly number[]): DeviceTensor;
  /** Numbers that are known now. */
  constant(dims: readonly number[], data: Float32Array | Int32Array): DeviceTensor;
  /**
   * One of several ways to do the same. `fixed` follows from sizes and traits alone; a tuned plan may take another of
   * `variants`, which all give the same result but for the order of sums.
   */
  choose<Variant extends string>(
    family: string,
    sizes: readonly number[],
    variants: readonly Variant[],
    fixed: Variant,
  ): Variant;
}

export interface LoweringContext {
  readonly node: Node;
  readonly plan: PlanBuilder;
  /** Static type of any value of the graph. */
  type(name: string): StaticType;
  /** Value of an input that is constant, else undefined. */
  constant(index: number): Tensor | undefined;
  /** The tensor of any value that was computed before. */
  tensor(name: string): DeviceTensor;
  /** The node that makes a value; undefined for inputs and constants. */
  producer(name: string): Node | undefined;
}

/** Adds one node's work to the plan; gives a tensor for each of its outputs. */
export type Lowering = (context: LoweringContext) => readonly DeviceTensor[];
export type LoweringTable = Readonly<Record<string, Lowering>>;
