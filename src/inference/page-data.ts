/** What the exported page carries: written by export-page.ts into the template, read by page/main.ts. */
import type { FittedRecipe } from '../protocol/entities';

export interface PageData {
  readonly format: 1;
  readonly name: string;
  /** The `.onnx` file in base64. */
  readonly model: string;
  readonly recipe: FittedRecipe;
}

/** Stands in the template where the data goes. */
export const PAGE_PLACEHOLDER = '__TERRARIUM_PAGE_DATA__';
