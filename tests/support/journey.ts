/**
 * The steps from a table of one's own to a file of the project, each taken as a person takes it, for every test that
 * walks that way: as a newcomer, without a network, on one thread. Steps wait for what the screen then says.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

export interface Traveller {
  readonly page: Page;
  /** Where Home is. */
  readonly url: string;
  /** Where downloads go. */
  readonly folder: string;
  /** The slowest step may take so long. */
  readonly patience: number;
}

export class Journey {
  readonly #page: Page;
  readonly #url: string;
  readonly #folder: string;
  readonly #timeout: number;
  #project = '';

  constructor({ page, url, folder, patience }: Traveller) {
    this.#page = page;
    this.#url = url;
    this.#folder = folder;
    this.#timeout = patience;
  }

  /** Address of the project without its stage. */
  get project(): string {
    return this.#project;
  }

  /** Goes on with the project that is open. */
  here(): void {
    this.#project = this.#page.url().replace(/\/\w+$/, '');
  }

  async stage(name: string): Promise<void> {
    await this.#page.goto(`${this.#project}/${name}`);
  }

  async importTable(path: string): Promise<void> {
    await this.#page.goto(this.#url);
    await this.#page.locator('input[type=file]').first().setInputFiles(path);
    await this.#page.getByText('Which column should it predict?').first().waitFor(this.#soon);
    this.here();
  }

  async choose(target: string): Promise<void> {
    await this.stage('goal');
    const option = this.#page.getByRole('radio', { name: new RegExp(`^${target}`) });
    await option.check(this.#soon);
    await this.#page
      .getByRole('radio', { name: new RegExp(`^${target}`), checked: true })
      .waitFor();
  }

  /** Says what the result card says. */
  async train(): Promise<string> {
    await this.stage('train');
    await this.#page.getByRole('button', { name: 'Train', exact: true }).first().click(this.#soon);
    const result = this.#page.getByText(/Right on [\d,]+ of [\d,]+ |Off by/).first();
    await result.waitFor(this.#soon);
    return (await result.textContent()) ?? '';
  }

  async openSeal(): Promise<void> {
    await this.stage('evaluate');
    await this.#page.getByText('Opened 0 times').waitFor(this.#soon);
    await this.#page.getByRole('button', { name: /^Open the \d+ sealed/ }).click();
    await this.#page.getByText(/Opened (once|1 time)/).waitFor(this.#soon);
  }

  /** An int8 copy by static quantisation, which looks at examples and measures both. */
  async quantise(): Promise<void> {
    await this.stage('compress');
    await this.#page.getByRole('radio', { name: /static/ }).check(this.#soon);
    await this.#page.getByRole('button', { name: 'Make the copy' }).click();
    const size = this.#page.getByText(/is \d+(\.\d+)?% of the size/).first();
    await size.waitFor(this.#soon);
  }

  /** Answers for each line of a file, as CSV. */
  async answer(path: string): Promise<string> {
    await this.stage('try');
    await this.#page.getByRole('tab', { name: 'A whole file' }).click(this.#soon);
    await this.#page.locator('input[type=file]').first().setInputFiles(path);
    return readFile(await this.save(/Download|Save/), 'utf8');
  }

  async download(run: string): Promise<Buffer> {
    await this.stage('versions');
    await this.#page.getByRole('button', { name: run, exact: true }).click(this.#soon);
    return readFile(await this.save('Download .onnx'));
  }

  /** The project with its rows; path of the file. */
  async saveProject(): Promise<string> {
    await this.stage('try');
    await this.#page.getByRole('tab', { name: 'Export' }).click(this.#soon);
    return this.save('Save the project file');
  }

  /** A file opened as a project of its own, beside the one that is there. */
  async openProject(path: string): Promise<void> {
    await this.#page.goto(this.#url);
    await this.#page.locator('input[type=file]').first().setInputFiles(path);
    await this.#page.waitForURL(/#\/p\//, this.#soon);
    this.here();
  }

  /** Presses a button that saves; path of what it saved. */
  async save(button: RegExp | string): Promise<string> {
    const [download] = await Promise.all([
      this.#page.waitForEvent('download', this.#soon),
      this.#page.getByRole('button', { name: button }).first().click(this.#soon),
    ]);
    const path = join(this.#folder, download.suggestedFilename());
    await download.saveAs(path);
    return path;
  }

  get #soon(): { timeout: number } {
    return { timeout: this.#timeout };
  }
}
