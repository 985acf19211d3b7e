/** The few words beside a stage in the rail: how many rows, which gate, how far. */
import type { OpenProject } from '../../state/project.svelte';
import type { Stage } from '../../state/router.svelte';
import { compact, decimal, integer, percent } from '../messages/format';
import { m } from '../messages/m';

interface Note {
  readonly text: string;
  readonly title?: string;
}

export function stageNote(stage: Stage, project: OpenProject): Note | null {
  const status = project.stages[stage];
  if (status.state === 'stale') {
    const changed = (status.changed ?? []).map((part) => m.shell.changed[part]).join(', ');
    return { text: m.shell.state.stale, title: m.shell.changedSince(changed) };
  }
  if (status.state === 'running') {
    return { text: percent(project.runs.live?.fraction ?? status.fraction ?? 0, 0) };
  }
  if (stage === 'data') {
    const rows = project.records.dataset?.manifest.rows;
    return rows === undefined ? null : { text: integer(rows) };
  }
  if (stage === 'goal') {
    const gate = project.current.gates.find((candidate) => candidate.kind === 'metric');
    if (!gate) return null;
    const fraction = gate.metric === 'accuracy' || gate.metric === 'f1_macro';
    const least = fraction || gate.metric === 'r2';
    const figure = fraction ? percent(gate.threshold) : decimal(gate.threshold);
    return { text: `${least ? '≥' : '≤'} ${figure}` };
  }
  if (stage === 'model') {
    const { baselines } = project.runs;
    const newest = project.records.models.findLast(
      (model) => !baselines.some((run) => run.id === model.runId),
    );
    return newest ? { text: compact(newest.weights) } : null;
  }
  if (stage === 'evaluate' && project.current.testOpened === 0) return { text: m.shell.sealed };
  if (stage === 'versions' && project.records.models.length > 0) {
    return { text: integer(project.records.models.length) };
  }
  return null;
}
