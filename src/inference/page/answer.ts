/** The model inside the page: base64 to graph, raw inputs to probabilities or a value, by the interpreter. */
import { runGraph } from '../../engine/reference/run-graph';
import type { Graph, Tensor } from '../../onnx/graph';
import { readModel } from '../../onnx/reader';
import { answerOutput } from '../predict';

export class PageModel {
  readonly #graph: Graph;
  readonly #output: string;

  constructor(base64: string) {
    this.#graph = readModel(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
    this.#output = answerOutput(this.#graph);
  }

  /** Probabilities of one row, or its one predicted value. */
  answer(inputs: ReadonlyMap<string, Tensor>): readonly number[] {
    const values = runGraph(this.#graph, inputs, [this.#output]).get(this.#output);
    return Array.from(values?.data ?? [], Number);
  }
}
