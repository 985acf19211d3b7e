/** ModelProto by hand, field by field: what no writer of ours would write. */
import { WireWriter } from '../../../src/onnx/wire';

export const w = (): WireWriter => new WireWriter();
export const opset17 = w().int(2, 17);
export const model = (graph: WireWriter, ir = 8, opset = opset17): Uint8Array =>
  w().int(1, ir).message(7, graph).message(8, opset).finish();
export const info = (name: string, code = 1, dims: readonly number[] = [1]): WireWriter => {
  const shape = w();
  for (const dim of dims) shape.message(1, w().int(1, dim));
  return w()
    .string(1, name)
    .message(2, w().message(1, w().int(1, code).message(2, shape)));
};
export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
): WireWriter => {
  const writer = w();
  for (const input of inputs) writer.string(1, input);
  for (const output of outputs) writer.string(2, output);
  return writer.string(3, `${op}:${outputs.join()}`).string(4, op);
};
export const weight = (
  name: string,
  dims: readonly number[],
  bytes: number,
  code = 1,
): WireWriter => w().ints(1, dims).int(2, code).string(8, name).bytes(9, new Uint8Array(bytes));

/** An attribute of a kind by its content: text, whole number, or a body. */
export const attribute = (name: string, value: number | string | WireWriter): WireWriter => {
  const writer = w().string(1, name);
  if (typeof value === 'number') return writer.int(20, 2).int(3, value);
  if (typeof value === 'string') return writer.int(20, 3).string(4, value);
  return writer.int(20, 5).message(6, value);
};

/** A FunctionProto of domain `local`. */
export const fn = (
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: readonly WireWriter[],
  attributes: readonly string[] = [],
): WireWriter => {
  const writer = w().string(1, name);
  for (const input of inputs) writer.string(4, input);
  for (const output of outputs) writer.string(5, output);
  for (const own of attributes) writer.string(6, own);
  for (const own of nodes) writer.message(7, own);
  return writer.message(9, w().int(2, 17)).string(10, 'local');
};

/** A call of a function of domain `local`. */
export const call = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  name = `${op}:${outputs.join()}`,
): WireWriter => {
  const writer = w();
  for (const input of inputs) writer.string(1, input);
  for (const output of outputs) writer.string(2, output);
  return writer.string(3, name).string(4, op).string(7, 'local');
};

/** A model with functions; imports opset 17 and `local` 1. */
export const modelWith = (graph: WireWriter, functions: readonly WireWriter[]): Uint8Array => {
  const writer = w().int(1, 8).message(7, graph).message(8, opset17);
  writer.message(8, w().string(1, 'local').int(2, 1));
  for (const own of functions) writer.message(25, own);
  return writer.finish();
};

export const io = (): WireWriter => w().message(11, info('x')).message(12, info('y'));
