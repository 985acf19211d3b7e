/** Every primitive and chart under axe, in both themes and at double text; and nothing scrolls the page sideways. */
import axe from 'axe-core';
import { page } from 'vitest/browser';
import { afterEach, describe, expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import Gallery from './Gallery.svelte';

afterEach(() => {
  delete document.documentElement.dataset.theme;
  document.documentElement.style.fontSize = '';
});

async function findings(): Promise<string[]> {
  const { violations } = await axe.run(document.body, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ''}`),
  );
}

describe('the gallery of primitives and charts', () => {
  test.each(['light', 'dark'])('has no axe finding in %s', async (theme) => {
    document.documentElement.dataset.theme = theme;
    document.documentElement.lang = 'en';
    document.title = 'Gallery';
    await page.viewport(1280, 900);
    render(Gallery);
    await document.fonts.ready;
    // The numbers under the charts are part of them.
    for (const details of document.querySelectorAll('details')) details.open = true;
    expect(await findings()).toEqual([]);
  });

  test.each([
    [360, '100%'],
    [1360, '100%'],
    [360, '200%'],
  ])('does not scroll sideways at %i px and %s text', async (width, size) => {
    document.documentElement.style.fontSize = size;
    await page.viewport(width, 800);
    render(Gallery);
    await expect.poll(() => document.documentElement.scrollWidth).toBeLessThanOrEqual(width);
  });
});
