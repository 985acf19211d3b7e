/**
 * Models of other programs by their first bytes, so that a refusal can say what the file is and what to do. Above all
 * pickles (PyTorch's .pt and .pth): a pickle is a program that runs when it is loaded, and nothing here ever loads one.
 */
export const HEAD_BYTES = 512;

const PICKLE =
  'is a Python pickle (PyTorch or scikit-learn): a program that runs when it is opened, which the studio never does. Export the model to ONNX, or save its weights as .safetensors.';
const NUMPY = 'holds NumPy arrays, not a model. Save the weights as .safetensors.';
const KERAS =
  'is a Keras model in its own container. Convert it with tensorflowjs_converter (to a layers model), or to ONNX with tf2onnx.';

/** What `path` is, in words that follow its name; null where its bytes do not say. */
export function foreignModel(head: Uint8Array, path: string): string | null {
  const starts = (...bytes: number[]): boolean => bytes.every((byte, at) => head[at] === byte);
  const text = (from: number, length: number): string =>
    String.fromCharCode(...head.subarray(from, from + length));
  // Protocol 2 to 5; older ones begin with an opcode that could be anything.
  if (starts(0x80) && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) return PICKLE;
  if (/\.(pkl|pickle|joblib)$/i.test(path)) return PICKLE;
  if (text(0, 4) === 'PK\x03\x04') {
    // PyTorch 1.6 and later: a zip with a pickle inside.
    if (/data\.pkl/.test(text(0, HEAD_BYTES)) || /\.(pt|pth|ckpt|bin)$/i.test(path)) return PICKLE;
    if (/\.keras$/i.test(path)) return KERAS;
    if (/\.npz$/i.test(path)) return NUMPY;
    return 'is a zip file. Unpack it and choose the model inside.';
  }
  // Vim's Portuguese tutorial is called tutor.pt.
  const binary = head.some((byte) => byte < 9);
  if (binary && /\.(pt|pth|ckpt)$/i.test(path)) return PICKLE;
  if (text(0, 8) === '\x89HDF\r\n\x1a\n') return KERAS;
  if (text(4, 4) === 'TFL3') {
    return 'is a TensorFlow Lite model, which cannot learn here. Convert it to ONNX with tf2onnx.';
  }
  if (text(0, 4) === 'GGUF') {
    return 'holds the quantised weights of a language model (GGUF), which cannot learn here.';
  }
  if (text(0, 6) === '\x93NUMPY') {
    return NUMPY;
  }
  return null;
}
