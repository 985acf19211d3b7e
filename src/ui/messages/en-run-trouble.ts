import { count } from './plural';

/** What befell a run, on the Train screen. */
export const runTrouble = {
  full: {
    title: 'The disk is full',
    text: 'The run holds still and keeps everything in memory. Free some room: empty the Trash, erase a project, or delete files of your own. It tries again every few seconds. Leave this tab open.',
    tryNow: 'Try again now',
    save: 'Save what it has learned as a file',
    storage: 'See what takes the room',
    nothing: 'There is nothing that is not saved.',
  },
  diverged: {
    title: 'The numbers ran away',
    what: {
      loss: (step: string) => `At step ${step} the loss was no longer a number.`,
      weights: (step: string) => `At step ${step} a weight was no longer a number.`,
      validation: (step: string) =>
        `At step ${step} the loss on the rows held back for checking was no longer a number.`,
    },
    kept: (epoch: string) =>
      `The best weights before that, of epoch ${epoch}, are kept as its model.`,
    nothingKept: 'No epoch had ended by then, so there is no model.',
    rate: (rate: string) => `The learning rate was ${rate}.`,
    norms: (norms: string) => `Gradient norms of the last steps before it: ${norms}.`,
    unclipped: 'Gradients were not clipped; a bound of 1 on their norm often helps.',
    half: 'It was computed in float16, which holds no number above 65504; float32 does.',
    unscaled: (columns: readonly string[]) =>
      `${count(columns.length, 'column reaches', 'columns reach')} the model unscaled, with large values: ${columns.join(', ')}. Scale them in the preparation of the data.`,
    column: (name: string, largest: string) => `${name} (up to ${largest})`,
    again: 'Try again with a tenth of the learning rate',
  },
  incident: {
    deviceLost: (step: string) => `The graphics device was lost at step ${step}.`,
    workerDied: (step: string) => `The training worker stopped at step ${step}.`,
    resumed: (step: string) => `Went on from its checkpoint at step ${step}.`,
    other: (step: string, before: string, now: string) =>
      `Went on at step ${step} with other kernels (${now} after ${before}), which round otherwise.`,
    moved: 'Went on with the processor.',
    divided: (step: string, rows: string) =>
      `Memory ran out at step ${step}: from there on in parts of ${rows} rows.`,
    diskFull: (step: string) => `Waited at step ${step} because the disk was full.`,
    checkpointMissed: (step: string, reason: string) =>
      `No checkpoint could be written at step ${step}, when the page was left: ${reason}`,
  },
};
