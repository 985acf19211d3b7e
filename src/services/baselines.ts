/**
 * The two figures that every model has to beat: the commonest class (or the mean), and a linear model. Both are
 * ordinary runs with models of their own, so they are evaluated and compared like any other.
 */
import type { DatasetVersion, Id, RunConfig } from '../protocol/entities';
import { BLUEPRINTS, linearBaselineTraining } from './defaults';
import type { DeviceChoice } from './device';
import { startRun } from './runs';
import type { FinishedRun, RunListener } from './runs';
import type { WorkerSet } from './workers';

export async function startBaselines(
  workers: WorkerSet,
  device: DeviceChoice,
  projectId: Id,
  config: RunConfig,
  dataset: DatasetVersion,
  listener: RunListener,
): Promise<readonly FinishedRun[]> {
  const training = linearBaselineTraining(dataset, config.task);
  const linear: RunConfig = { ...config, blueprint: BLUEPRINTS.linear, training };
  const byRule = config.task === 'regression' ? 'Always the mean' : 'Always the commonest class';
  const plans = [
    { name: byRule, constant: true },
    { name: 'Linear model', constant: false },
  ];
  const finished: FinishedRun[] = [];
  for (const plan of plans) {
    const request = { projectId, config: linear, role: 'baseline', ...plan } as const;
    const handle = await startRun(workers, device, request, listener);
    finished.push(await handle.finished);
  }
  return finished;
}
