export const drill = {
  title: 'Drill',
  sub: 'Break a run on purpose and watch it recover. Nothing here is played.',
  project: 'Drill on the penguins',
  intro:
    'A small model learns the penguins. While it does, take away what it runs on. It has to go on from its last checkpoint, and in the end have the very same weights as if nothing had happened.',
  start: 'Start a run to break',
  again: 'Start another one',
  finish: 'Stop and compare',
  device: 'Trains on',
  devices: { webgpu: 'Graphics (WebGPU)', wasm: 'Processor (WebAssembly)' },
  harm: {
    'lose-device': 'Lose the graphics device now',
    kill: 'Kill the training worker',
    hang: 'Hang the worker',
  },
  explain: {
    'lose-device':
      'Destroys the device, as a crashed driver does. A second time within five minutes, and the run goes on with the processor.',
    kill: 'Ends the thread that trains, in the middle of what it does.',
    hang: 'Sends it into an endless loop. It is noticed when it has been silent for 15 seconds.',
  },
  noDevice: 'It trains on the processor: there is no graphics device to lose.',
  other: (name: string) => `“${name}” is training in this tab: the buttons act on it.`,
  state: {
    idle: 'Nothing runs.',
    preparing: 'Preparing the penguins',
    training: (step: string, saved: string) => `Step ${step}, saved at step ${saved}`,
    recovering: 'Recovering',
    comparing: 'Training the same again, undisturbed, to compare',
    done: 'Done.',
  },
  log: 'What happened',
  empty: 'Nothing yet.',
  at: (seconds: string) => `${seconds} s`,
  entry: {
    started: (label: string) => `Training began on ${label}.`,
    did: {
      'lose-device': (step: string) => `You destroyed the graphics device at step ${step}.`,
      kill: (step: string) => `You killed the training worker at step ${step}.`,
      hang: (step: string) => `You sent the worker into an endless loop at step ${step}.`,
    },
    noDevice: 'There was no graphics device to destroy.',
    lost: (step: string) =>
      `The loss was noticed: figures up to step ${step} are in, and what came after does not count.`,
    died: (step: string) => `The worker was found dead; step ${step} was the last one heard of.`,
    moved: 'Two losses within five minutes: it goes on with the processor.',
    divided: (rows: string) => `Memory ran out: it goes on in parts of ${rows} rows.`,
    full: 'The disk is full: it holds still.',
    room: 'There is room again.',
    missed: 'No checkpoint was written when the page was left.',
    recovered: (from: string, seconds: string) =>
      `Recovered from the checkpoint at step ${from}, after ${seconds} s.`,
    steps: (again: string, twice: string) =>
      `Steps computed again: ${again}. Steps counted twice: ${twice}.`,
    stopped: (step: string, hash: string) => `Stopped at step ${step}. Its model is ${hash}.`,
    comparing: (epochs: string) => `Now the same ${epochs} epochs again, left in peace.`,
    equal: (hash: string) => `Left in peace, the model is ${hash}. Weights equal: every bit.`,
    unequal: (hash: string) =>
      `Left in peace, the model is ${hash}. Weights NOT equal: please report this.`,
    otherwise: (hash: string) =>
      `Left in peace, the model is ${hash}. Part of the drilled run was computed by other kernels, which round otherwise, so the weights differ in their last digits. The run’s record says so.`,
  },
  card: {
    title: 'Drill',
    text: 'Lose the graphics device, kill the worker, and watch a run recover with the same weights. For a class, or for whoever does not believe it.',
    open: 'Open the drill',
  },
};
