import { count } from './plural';

export const compress = {
  title: 'Compress',
  sub: 'A smaller copy of a model: whole numbers of 8 bits in place of fractions of 32.',
  empty: 'There is nothing to compress yet. Train a model first.',
  emptyGo: 'Train a model',
  model: 'Model',
  how: 'How',
  mode: {
    'int8-dynamic': {
      title: 'int8, dynamic',
      text: 'Weights become whole numbers; what flows between the layers is measured anew at each answer. Needs no rows.',
    },
    'int8-static': {
      title: 'int8, static',
      text: 'Weights and what flows between the layers become whole numbers; their ranges are measured once, on rows of the training part.',
    },
  },
  noStatic:
    'It does not say how its inputs are made from columns, so there are no rows to measure its ranges on.',
  go: 'Make the copy',
  starting: 'Reading the model',
  judging: (name: string) => `Judging ${name} on the checking part`,
  table: {
    title: 'Before and after',
    before: 'before',
    name: 'Model',
    accuracy: 'Accuracy',
    rmse: 'RMSE',
    lost: 'Lost',
    risen: 'Rise of RMSE',
    size: 'Size',
    latency: 'Time for one answer, here',
    gates: 'Gates',
    noGates: 'none set',
    points: (value: string) => `${value} points`,
    share: (percent: string) => `${percent} of it`,
    notJudged: 'not judged',
    judge: 'Judge',
    right: (rows: number, before: number, after: number) =>
      `${count(rows, 'row', 'rows')}: only the model right ${before}, only the copy right ${after}`,
    note: 'On the checking part; the sealed rows stay sealed. Loss: the same rows for both, with its 95 % interval.',
    none: 'No copy yet. Make one, and what it lost and saved stands here.',
  },
  chart: (name: string) => `${name} and its copies`,
  sentence: {
    smaller: (name: string, share: string) => `${name} is ${share} of the size`,
    noLoss: 'and loses nothing that these rows can show',
    within: (high: string) => `and loses at most ${high} with 95 % confidence`,
    atMost: (high: string) => `and its RMSE rises by at most ${high} with 95 % confidence`,
    open: 'and has not been judged yet',
  },
  notes: (name: string) => `What was done to ${name}`,
  next: { versions: 'See it among the versions', tryIt: 'Try it beside the model' },
};
