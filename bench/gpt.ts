/**
 * A decoder-only transformer as an ONNX graph (Radford et al. 2019, "Language Models are Unsupervised Multitask
 * Learners"): pre-LayerNorm blocks, learned positions, one fused weight for query, key and value, tanh-GELU, biases
 * in all linear layers but the head, no dropout, and a head of its own instead of the transposed embedding.
 * `features` [batch, context] int32 token numbers -> `logits` [batch * context, vocabulary], one row for each token.
 */
import { sizeOf } from '../src/core/dtype';
import { normals } from '../src/core/philox';
import { GraphBuilder } from '../src/onnx/builder';
import { attr } from '../src/onnx/graph';
import type { Graph } from '../src/onnx/graph';

export interface GptModel {
  readonly kind: 'gpt';
  readonly batch: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Tokens in a row. */
  readonly context: number;
  readonly vocabulary: number;
}

const SPREAD = 0.02;
const EPSILON = 1e-5;

class GptBuilder {
  readonly builder = new GraphBuilder('gpt');

  constructor(
    readonly model: GptModel,
    readonly seed: number,
  ) {}

  random(name: string, dims: readonly number[], spread = SPREAD): string {
    const data = normals(sizeOf(dims), spread, this.seed, name);
    return this.builder.initializer(name, { dtype: 'float32', dims, data });
  }

  filled(name: string, dims: readonly number[], value: number): string {
    const data = new Float32Array(sizeOf(dims)).fill(value);
    return this.builder.initializer(name, { dtype: 'float32', dims, data });
  }

  norm(name: string, x: string): string {
    const { width } = this.model;
    const scale = this.filled(`${name}.weight`, [width], 1);
    const bias = this.filled(`${name}.bias`, [width], 0);
    const settings = { axis: attr.int(-1), epsilon: attr.float(EPSILON) };
    return this.builder.node('LayerNormalization', [x, scale, bias], settings, { name });
  }

  /** Weights are [into, out], so that no product needs a transposed copy. */
  linear(name: string, x: string, into: number, out: number, spread = SPREAD): string {
    const weight = this.random(`${name}.weight`, [into, out], spread);
    const bias = this.filled(`${name}.bias`, [out], 0);
    return this.builder.node('Add', [this.builder.node('MatMul', [x, weight]), bias]);
  }

  /** x + attention(norm(x)), then x + mlp(norm(x)). [batch, context, width] */
  block(index: number, x: string): string {
    const { builder, model } = this;
    const { width, heads, layers } = model;
    const name = `blocks.${index}`;
    // The residual stream sums 2 projections a layer; their spread makes up for it.
    const projected = SPREAD / Math.sqrt(2 * layers);
    const qkv = this.linear(
      `${name}.attention.qkv`,
      this.norm(`${name}.norm_1`, x),
      width,
      3 * width,
    );
    const [q = '', k = '', v = ''] = builder.nodes('Split', [qkv], 3, {
      axis: attr.int(-1),
      num_outputs: attr.int(3),
    });
    const attended = builder.node('Attention', [q, k, v], {
      is_causal: attr.int(1),
      q_num_heads: attr.int(heads),
      kv_num_heads: attr.int(heads),
    });
    const mixed = this.linear(`${name}.attention.out`, attended, width, width, projected);
    const middle = builder.node('Add', [x, mixed]);
    const wide = this.linear(
      `${name}.mlp.up`,
      this.norm(`${name}.norm_2`, middle),
      width,
      4 * width,
    );
    const active = builder.node('Gelu', [wide], { approximate: attr.string('tanh') });
    const down = this.linear(`${name}.mlp.down`, active, 4 * width, width, projected);
    return builder.node('Add', [middle, down]);
  }

  build(): Graph {
    const { builder, model } = this;
    const { batch, context, width, vocabulary, layers } = model;
    const features = builder.input('features', 'int32', [batch, context]);
    const tokens = builder.node('Gather', [
      this.random('tokens.weight', [vocabulary, width]),
      features,
    ]);
    const positions = this.random('positions.weight', [context, width]);
    let x = builder.node('Add', [tokens, positions]); // [batch, context, width]
    for (let index = 0; index < layers; index++) x = this.block(index, x);
    const last = this.norm('norm', x);
    const rows = builder.node('Reshape', [last, builder.ints([batch * context, width])]);
    const head = this.random('head.weight', [width, vocabulary]);
    builder.node('MatMul', [rows, head], {}, { name: 'head', outputs: ['logits'] });
    builder.output('logits', 'float32', [batch * context, vocabulary]);
    return builder.build();
  }
}

export function buildGpt(model: GptModel, seed: number): Graph {
  return new GptBuilder(model, seed).build();
}
