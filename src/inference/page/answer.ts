/** The model inside the page: base64 to graph, raw inputs to probabilities or a value, by the interpreter. */
import { runGraph } from '../../engine/reference/run-graph';
import type { Graph, Tensor } from '../../onnx/graph';
import { readModel } from '../../onnx/reader';
import { answerOutput } from '../predict';

export class PageModel {
  readonly #graph: Graph;
  readonly #output: string;

  constructor(base64: string) {
    const graph = readModel(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
    this.#output = answerOutput(graph);
    this.#graph = { ...graph, outputs: graph.outputs.filter(({ name }) => name === this.#output) };
  }

  /** Probabilities of one row, or its one predicted value. */
  answer(inputs: ReadonlyMap<string, Tensor>): readonly number[] {
    const values = runGraph(this.#graph, inputs).get(this.#output);
    return Array.from(values?.data ?? [], Number);
  }
}
