/** What is drawn while something is loaded, when it is there, when it fails, and when another is wanted meanwhile. */
import { createRawSnippet } from 'svelte';
import { expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import Loaded from '../../../src/ui/primitives/Loaded.svelte';

const words = (text: string) => createRawSnippet(() => ({ render: () => `<p>${text}</p>` }));
const children = createRawSnippet((value: () => string) => ({
  render: () => `<p>here is ${value()}</p>`,
}));
const failed = createRawSnippet((error: () => unknown) => ({
  render: () => `<p>failed: ${String(error())}</p>`,
}));

/** A load whose end the test decides. */
function open() {
  let resolve: (value: string) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<string>((yes, no) => ([resolve, reject] = [yes, no]));
  return { load: () => promise, resolve, reject };
}

test('waits, and then draws what came', async () => {
  const { load, resolve } = open();
  const screen = await render(Loaded, { load, children, waiting: words('wait') });
  await expect.element(screen.getByText('wait')).toBeVisible();
  resolve('one');
  await expect.element(screen.getByText('here is one')).toBeVisible();
  expect(screen.getByText('wait').query()).toBeNull();
});

test('draws what is wanted now, though what was wanted before comes later', async () => {
  const [before, now] = [open(), open()];
  const screen = await render(Loaded, { load: before.load, children });
  await screen.rerender({ load: now.load });
  now.resolve('the new one');
  await expect.element(screen.getByText('here is the new one')).toBeVisible();
  before.resolve('the old one');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(screen.container.textContent.trim()).toBe('here is the new one');
});

test('says what failed', async () => {
  const { load, reject } = open();
  const screen = await render(Loaded, { load, children, failed });
  reject(new Error('no such file'));
  await expect.element(screen.getByText('failed: Error: no such file')).toBeVisible();
});
