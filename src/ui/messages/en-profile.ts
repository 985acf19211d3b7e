import { count } from './plural';

export const profile = {
  title: 'Profile',
  what: 'Where the time and the memory of a training step go, kernel by kernel.',
  open: 'Open',
  close: 'Close',
  take: (steps: number) => `Profile ${count(steps, 'step', 'steps')}`,
  takeAgain: 'Profile again',
  taking: 'Timing each kernel',
  stop: 'Stop',
  empty: {
    run: 'The next steps of this run are timed kernel by kernel. What it learns stays the same, bit for bit.',
    alone:
      'Some first steps on the chosen settings are timed kernel by kernel. Nothing of what they learn is kept.',
  },
  readiness: {
    wait: 'The steps of this run can be profiled as soon as they begin.',
    'no-model': 'There is something to profile once a target and a model are chosen.',
    'no-clock':
      'This engine cannot time its kernels one by one, so there is nothing to show. Choose another device in the settings of the next run.',
    pretrained:
      'A pretrained body is profiled while it trains: start a run, then profile its steps.',
  },
  of: (steps: number, run: string) => `Typical of ${count(steps, 'step', 'steps')} of ${run}`,
  ofSettings: (steps: number) =>
    `Typical of the first ${count(steps, 'step', 'steps')} on the settings chosen then`,
  wall: 'This device has no clock for kernels: each was timed from outside, which adds some waiting. Compare them with one another, not with a step.',
  micro: (parts: number) =>
    `Each step is made of ${parts} micro-batches. This is one of them, without the update at the end.`,
  trace: 'Save as a Chrome trace',
  graph: 'Show on the graph',
  figures: 'Figures of a step',
  figure: {
    step: 'A step takes',
    stepHint:
      'From the first call of the step until its results can be read, while it is being timed.',
    kernels: (time: string) => `${time} in kernels`,
    device: 'Device at work',
    deviceHint: 'Share of the step in which the device computes; the rest is waiting and starting.',
    dispatches: 'Kernels started',
    passes: (passes: number, submits: number) =>
      `${count(passes, 'pass', 'passes')}, ${count(submits, 'submit', 'submits')}`,
    bytes: 'Bytes moved',
    bytesHint: 'What kernels read and write, each value counted once a kernel.',
    rate: (gigabytes: string) => `${gigabytes} GB/s`,
    uploaded: (bytes: string) => `${bytes} uploaded`,
    peak: 'Peak memory',
    arena: (bytes: string) => `${bytes} of it shared by values in between`,
  },
  phase: {
    label: 'Phase',
    all: 'All phases',
    forward: 'Forward',
    backward: 'Backward',
    update: 'Update',
  },
  view: {
    label: 'Views of the profile',
    operators: 'By operator',
    nodes: 'By node',
    kernels: 'In order',
    memory: 'Memory',
  },
  sums: {
    operators: 'Time by operator',
    nodes: 'Time by node of the model',
    operator: 'Operator',
    node: 'Node',
    time: 'Time',
    share: 'Share',
    bytes: 'Bytes',
    rate: 'GB/s',
    dispatches: 'Started',
    fused: 'Operators with a + between them are one kernel.',
    shared:
      'Forward, backward and update belong to the node they are for. Nodes in one line share kernels, and how the time divides among them is not known.',
    outside: 'loss and update',
    nobody: 'copies, for no node alone',
    none: 'No kernel of this phase.',
  },
  kernels: {
    title: 'Kernels in their order',
    kernel: 'Kernel',
    sentence: (kernels: number, time: string, longest: string, own: string, share: string) =>
      `${count(kernels, 'kernel takes', 'kernels take')} ${time} in all. The longest is ${longest} with ${own}, ${share}.`,
    none: 'No kernel ran.',
    allShort: (kernels: number) =>
      `${count(kernels, 'kernel', 'kernels')} ran, each too short for the clock of this device.`,
    number: (n: number, of: number) => `${n} of ${of}`,
    moved: (bytes: string) => `${bytes} moved`,
    groups: (groups: string, size: string) => `${groups} workgroups of ${size}`,
    short: 'too short for its clock',
    nodes: 'Nodes',
    read: 'Read',
    written: 'Written',
  },
  memory: {
    title: 'Memory in use at each kernel',
    sentence: (peak: string, kernel: number, label: string, kind: string, share: string) =>
      `The most at once is ${peak}, at kernel ${kernel} (${label}). ${share} of it is ${kind}.`,
    peak: (bytes: string) => `most: ${bytes}`,
    kind: {
      state: 'state',
      constant: 'constants',
      feed: 'feeds',
      gradient: 'gradients',
      activation: 'activations',
    },
    hint: {
      state: 'Weights, and what the optimiser keeps beside each.',
      constant: 'Numbers of the formula itself.',
      feed: 'Rows and settings that the host hands over for a step.',
      gradient: 'How the loss changes with each weight.',
      activation: 'Values in between, kept until nothing reads them any more.',
    },
    largest: 'Largest at that moment',
    name: 'Name',
    what: 'Kind',
    bytes: 'Bytes',
    alive: 'In use at kernels',
    range: (from: number, to: number) => `${from} to ${to}`,
    total: 'Total',
  },
  overlay: {
    label: 'Colour by',
    none: 'operator',
    time: 'time of a step',
    bytes: 'bytes moved in a step',
    legend: (share: string) =>
      `Kernels that work for a node, forward, backward and update together. They take ${share} of the time; the rest is loss and update.`,
    cost: (time: string, share: string) => `${time}, ${share} of the time`,
    moved: (bytes: string, started: number) =>
      `${bytes} moved, ${count(started, 'kernel', 'kernels')}`,
    shared: (nodes: string) => `Shared with ${nodes}`,
    unknown:
      'No kernel of its own: it is computed inside the kernels of its neighbours, or only reshapes.',
    title: 'In the profile',
  },
};
