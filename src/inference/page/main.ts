/**
 * The script of the exported page: reads the model and recipe from the page itself, asks for one row or a
 * drawing, and shows the answer. No network, no worker, no storage. `terrariumAnswer` on the window lets a
 * person's own script, or a test, ask the model directly.
 */
import type { Tensor } from '../../onnx/graph';
import type { PageData } from '../page-data';
import { PageModel } from './answer';
import { buildDrawing } from './drawing';
import { buildForm } from './form';
import { buildPicture } from './picture';

/** Digits of this side are drawn; any other picture is chosen. */
const DRAWN = 28;

declare global {
  interface Window {
    terrariumAnswer?: (inputs: ReadonlyMap<string, Tensor>) => readonly number[];
  }
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page lacks its element "${id}".`);
  return found;
}

function start(): void {
  const { name, model: file, recipe } = JSON.parse(element('data').textContent) as PageData;
  const model = new PageModel(file);
  const { target } = recipe;
  document.title = name;
  element('name').textContent = name;
  element('says').textContent = `Predicts ${target.column}.`;
  window.terrariumAnswer = (inputs) => model.answer(inputs);

  const show = (inputs: ReadonlyMap<string, Tensor>, outside: readonly string[]): void => {
    const values = model.answer(inputs);
    const warning = outside.length > 0 ? ` Outside what it has seen: ${outside.join(', ')}.` : '';
    if (target.task === 'regression') {
      element('answer').textContent = `${Number((values[0] ?? NaN).toPrecision(5))}${warning}`;
      return;
    }
    // One column for two classes is the second one's probability.
    const [only = 0] = values;
    const shares = values.length === 1 ? [1 - only, only] : values;
    const best = shares.indexOf(Math.max(...shares));
    element('answer').textContent = `${target.classes[best] ?? ''}${warning}`;
    showBars(target.classes, shares);
  };
  if (recipe.input.type === 'table') {
    buildForm(element('input'), recipe.input, show);
    return;
  }
  const say = (text: string): void => {
    element('answer').textContent = text;
    element('bars').replaceChildren();
  };
  if (recipe.input.channels > 1 || recipe.input.width !== DRAWN) {
    say('Choose a picture.');
    buildPicture(
      element('input'),
      recipe.input,
      (inputs) => {
        say('Looking at it.');
        // A large model takes seconds here; the words come first.
        setTimeout(() => show(inputs, []), 30);
      },
      say,
    );
    return;
  }
  buildDrawing(element('input'), recipe.input.width, (inputs) => {
    if (inputs) return show(inputs, []);
    say('Draw something.');
  });
}

function showBars(classes: readonly string[], shares: readonly number[]): void {
  element('bars').replaceChildren(
    ...classes.map((label, index) => {
      const share = shares[index] ?? 0;
      const [item, text, track, fill, figure] = ['li', 'span', 'div', 'div', 'span'].map((tag) =>
        document.createElement(tag),
      ) as [HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement];
      text.textContent = label;
      track.className = 'track';
      fill.className = 'fill';
      fill.style.width = `${share * 100}%`;
      figure.className = 'share';
      figure.textContent = `${(share * 100).toFixed(1)} %`;
      track.append(fill);
      item.append(text, track, figure);
      return item;
    }),
  );
}

start();
