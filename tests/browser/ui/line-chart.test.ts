/** The curves of a run, drawn on a canvas. */
import { describe, expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import LineChart from '../../../src/ui/charts/LineChart.svelte';
import { decades } from '../../../src/ui/charts/scale';

describe('a logarithmic axis', () => {
  test.each([
    [2e-3, 0.7, [1e-3, 1]],
    [0.5, 0.5, [0.1, 1]],
    [1, 1, [1, 10]],
    // Zero smoothed a thousand times, and nothing at all.
    [4.9e-324, 3e-250, [1e-12, 1e-11]],
    [1e-30, 2, [1e-12, 10]],
    [null, null, [1e-3, 1]],
    [NaN, Infinity, [1e-3, 1]],
  ])('from %s to %s: %s', (low, high, axis) => {
    expect(decades(low, high)).toEqual(axis);
  });

  test('of a run that learned all there was: drawn at once, and not an endless search for ticks', async () => {
    const steps = Array.from({ length: 130 }, (_, step) => step);
    // Zeros, smoothed, stand at 1e-27 in the end, from where uPlot alone counts on for ever.
    const ys = steps.map((step) => (step < 10 ? 1 / (step + 1) : 0));
    const lines = [{ label: 'training', xs: steps, ys, colour: 0 }];
    const props = { label: 'Loss', sentence: 'It fell.', lines, log: true, smoothing: 0.6 };
    const { container } = await render(LineChart, props);
    await expect.poll(() => container.querySelectorAll('canvas').length).toBe(1);
    await expect
      .element(container.querySelector<HTMLElement>('.tag'))
      .toHaveTextContent('training');
  });
});
