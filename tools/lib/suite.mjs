// Steps, checks and Vitest projects, run and counted, ending with `N passed, N failed`.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureChromium } from './chromium.mjs';
import { binary, ensureInstalled, ROOT } from './setup.mjs';

export class Suite {
  #passed = 0;
  #failed = 0;
  #env;

  /** Sets up what every check needs: packages and a browser. `env` is added to what the checks see. */
  constructor(env = {}) {
    ensureInstalled();
    const chromium = ensureChromium();
    this.#env = { ...process.env, CHROMIUM: chromium, CI: process.env.CI ?? 'true', ...env };
  }

  async step(name, action) {
    const started = Date.now();
    try {
      await action();
      this.#passed++;
      console.log(`ok      ${name}  ${seconds(started)}`);
    } catch (error) {
      this.#failed++;
      console.log(`FAILED  ${name}  ${seconds(started)}  ${error.message}`);
    }
  }

  /** Commands that end with 0 when all is well, by name; side by side, since each keeps but one core busy. */
  async checks(commands) {
    const steps = Object.entries(commands).map(([name, [command, ...args]]) =>
      this.step(name, async () => {
        const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', env: this.#env });
        const [code, signal] = await once(child, 'exit');
        if (code !== 0) throw new Error(`${args[0]} ended with ${code ?? signal}`);
      }),
    );
    await Promise.all(steps);
  }

  /** Runs one Vitest project (or some files of it) and adds its counts; one that crashes or runs nothing has failed. */
  vitest(project, files = []) {
    const started = Date.now();
    const report = join(ROOT, '.cache', `vitest-${project}.json`);
    mkdirSync(join(ROOT, '.cache'), { recursive: true });
    rmSync(report, { force: true });
    const result = spawnSync(
      binary('vitest'),
      [
        'run',
        '--project',
        project,
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...files,
      ],
      { cwd: ROOT, stdio: 'inherit', env: this.#env },
    );
    const counts = existsSync(report)
      ? JSON.parse(readFileSync(report, 'utf8'))
      : { numPassedTests: 0, numFailedTests: 0 };
    this.#passed += counts.numPassedTests;
    // A file that does not load counts no test but fails the run.
    const unseen = result.status !== 0 && counts.numFailedTests === 0 ? 1 : 0;
    const empty = counts.numPassedTests + counts.numFailedTests === 0 && unseen === 0 ? 1 : 0;
    const failed = counts.numFailedTests + unseen + empty;
    this.#failed += failed;
    console.log(`${failed === 0 ? 'ok    ' : 'FAILED'}  ${project} tests  ${seconds(started)}`);
  }

  /** Prints the counts and ends the process. */
  end() {
    console.log(`\n${this.#passed} passed, ${this.#failed} failed`);
    process.exit(this.#failed === 0 ? 0 : 1);
  }
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
