/** A form for one table row, from the recipe: typical values filled in, training ranges beside them. */
import type { Tensor } from '../../onnx/graph';
import type { FittedRecipe } from '../../protocol/entities';

type TableInput = Extract<FittedRecipe['input'], { type: 'table' }>;

/** Fills `parent` and calls `onChange` with the model's inputs, at once and at every edit. */
export function buildForm(
  parent: HTMLElement,
  input: TableInput,
  onChange: (inputs: ReadonlyMap<string, Tensor>, outside: readonly string[]) => void,
): void {
  const title = document.createElement('h2');
  title.textContent = 'What is known';
  const form = document.createElement('form');
  parent.append(title, form);
  form.addEventListener('submit', (event) => event.preventDefault());
  let fields = 0;

  const addField = (column: string, control: HTMLElement, hint: string) => {
    const field = document.createElement('div');
    const label = document.createElement('label');
    const note = document.createElement('div');
    const id = `field-${fields++}`;
    field.className = 'field';
    control.id = id;
    label.htmlFor = id;
    label.textContent = column;
    note.className = 'hint';
    note.id = `${id}-hint`;
    note.textContent = hint;
    control.setAttribute('aria-describedby', note.id);
    control.addEventListener('input', report);
    field.append(label, control, note);
    form.append(field);
  };

  const numbers = input.numeric.map(({ column, impute, min, max }) => {
    const control = document.createElement('input');
    control.type = 'number';
    control.step = 'any';
    control.value = String(Number(impute.toPrecision(6)));
    addField(column, control, `${shown(min)} to ${shown(max)} in training; empty for unknown`);
    return control;
  });
  const choices = input.categorical.map(({ column, vocabulary, typical }) => {
    const control = document.createElement('select');
    // Codes of the recipe: 0 missing, 1 other, 2… the vocabulary.
    for (const [code, text] of ['(unknown)', '(something else)', ...vocabulary].entries())
      control.append(new Option(text, String(code)));
    control.value = String(Math.max(0, vocabulary.indexOf(typical)) + 2);
    addField(column, control, `${vocabulary.length} known values`);
    return control;
  });

  function report(): void {
    const outside: string[] = [];
    const numeric = Float32Array.from(numbers, (control, index) => {
      const value = control.value === '' ? NaN : Number(control.value);
      const feature = input.numeric[index];
      if (feature && (value < feature.min || value > feature.max)) outside.push(feature.column);
      return value;
    });
    const categorical = BigInt64Array.from(choices, (control) => BigInt(control.value));
    const inputs = new Map<string, Tensor>();
    if (numeric.length > 0)
      inputs.set('numeric', { dtype: 'float32', dims: [1, numeric.length], data: numeric });
    if (categorical.length > 0)
      inputs.set('categorical', {
        dtype: 'int64',
        dims: [1, categorical.length],
        data: categorical,
      });
    onChange(inputs, outside);
  }
  report();
}

function shown(value: number): string {
  return String(Number(value.toPrecision(4)));
}
