import { count } from './plural';

export const evaluate = {
  title: 'Evaluate',
  model: 'Model',
  empty: 'There is no model to judge yet.',
  toTrain: 'Train one',
  subtitle: (name: string, weights: string, size: string) =>
    `${name} · ${weights} numbers · ${size}`,
  seal: {
    title: 'The sealed test part',
    text: (rows: string, things: string) => `Open the ${rows} sealed ${things}.`,
    warning: 'Peeking often makes scores look better than they are.',
    opened: (n: number) => `Opened ${count(n, 'time', 'times')}.`,
    button: (rows: string, things: string) => `Open the ${rows} sealed ${things}`,
    again: (rows: string, things: string) => `Open the ${rows} ${things} for this model`,
    meanwhile:
      'Until then, everything here is from the checking part, which training has looked at.',
  },
  part: { label: 'Judged on', validation: 'Checking part', test: 'Sealed test' },
  judging: (name: string) => `Judging ${name}`,
  retry: 'Judge again',
  verdict: {
    title: 'How good it is',
    things: {
      validation: (things: string) => `${things} held back for checking`,
      test: (things: string) => `sealed ${things}`,
    },
    right: (
      correct: string,
      total: string,
      things: string,
      share: string,
      low: string,
      high: string,
    ) =>
      `Right on ${correct} of ${total} ${things}: ${share}, with 95 % confidence between ${low} and ${high}.`,
    off: (mae: string, low: string, high: string, total: string, things: string) =>
      `Off by ${mae} on average over ${total} ${things}, with 95 % confidence between ${low} and ${high}.`,
    beats: (name: string, figure: string) => `${name}: ${figure}.`,
    plot: (metric: string) => `${metric} of the model and what it is held against`,
    plotSentence: (metric: string) => `${metric} with its 95 % interval.`,
    rule: { classification: 'Always the commonest class', regression: 'Always the mean' },
    linear: 'Linear model',
    gate: 'gate',
    clear: 'Its interval lies clear of the linear model.',
    worse: 'Its interval lies below that of the linear model: the simpler model does better here.',
    overlaps:
      'Its interval overlaps that of the linear model: these rows cannot tell the two apart.',
    speed: (median: string, p95: string, perSecond: string) =>
      `One answer takes ${median} (95 % of them under ${p95}); in batches ${perSecond} a second, on the processor here.`,
    gates: 'Gates',
    noGates: 'No gates are set.',
  },
  matrix: {
    title: 'What it mixes up',
    sentence: (n: number, actual: string, predicted: string) =>
      `Its commonest mistake: ${count(n, 'row', 'rows')} of true ${actual} taken for ${predicted}. Choose a cell to see what stands behind it.`,
    perfect: 'It makes no mistake on these rows. Choose a cell to see what stands behind it.',
    examples: 'Behind the cell',
    mistakes: 'Its mistakes',
    all: 'All mistakes',
    allMistakes: (n: number) => `${count(n, 'mistake', 'mistakes')}, the most confident first.`,
    chosen: (n: number, actual: string, predicted: string) =>
      `${count(n, 'row', 'rows')} of true ${actual} taken for ${predicted}, the most confident first.`,
    some: (n: number) => `The first ${n} are shown.`,
    choose: 'Choose a cell to see its examples.',
    noRows: 'The rows of this data set are not on this computer, so they cannot be shown.',
  },
  tabs: {
    label: 'More figures',
    threshold: 'Threshold',
    classes: 'Each class',
    confidence: 'Confidence',
    columns: 'What it looks at',
  },
  threshold: {
    class: 'Class',
    slider: 'Called this class from',
    not: (name: string) => `not ${name}`,
    figures: 'Figures at this threshold',
    precision: 'Precision',
    precisionHint: 'Of all that it calls this class, the share that really is.',
    recall: 'Recall',
    recallHint: 'Of all that really is this class, the share that it finds.',
    f1: 'F1',
    f1Hint: 'Harmonic mean of precision and recall.',
    fpr: 'False alarms',
    sentence: (name: string, precision: string, recall: string, threshold: string) =>
      `From ${threshold} on it finds ${recall} of all ${name}; ${precision} of what it calls ${name} is right.`,
    nothing: (name: string) => `It calls nothing ${name} at this threshold.`,
    roc: 'ROC curve',
    rocSentence: (name: string, auc: string) =>
      `${name}: area under the curve ${auc}; 0.5 is guessing, 1 is perfect.`,
    rocX: 'False-positive rate',
    rocY: 'True-positive rate',
    pr: 'Precision and recall',
    prSentence: (name: string, ap: string) => `${name}: average precision ${ap}.`,
    undefined: 'This class does not occur on both sides here, so it has no curves.',
    shares: '95 % intervals (Wilson) at this threshold.',
  },
  classes: {
    class: 'Class',
    support: 'Rows',
    note: 'Each with its 95 % interval.',
    macro: 'Mean over classes',
    logLoss: (loss: string) =>
      `Log loss ${loss}: how much its probabilities surprise; 0 is perfect.`,
  },
  confidence: {
    title: 'Reliability',
    sentence: (ece: string) =>
      `Its confidence is off by ${ece} on average (expected calibration error). Bars on the dashed line mean that it can be taken at its word.`,
  },
  columns: {
    title: 'What it looks at',
    run: 'Work it out',
    text: 'One column at a time is shuffled, and how much worse the model gets is counted. On the checking part; the sealed part stays as it is.',
    working: 'Shuffling the columns',
    drop: 'Loss of accuracy',
    rise: 'Rise of RMSE',
    sentence: (column: string, drop: string) =>
      `Most of all at ${column}: without it, it loses ${drop} of accuracy.`,
    sentenceRise: (column: string, rise: string) =>
      `Most of all at ${column}: without it, its error rises by ${rise}.`,
    nothing: 'Shuffling any one column changes nothing that these rows could show.',
    points: (value: string) => `${value} points`,
  },
  regression: {
    figures: 'Figures',
    mae: 'Mean absolute error',
    maeHint: 'How far off it is on average, in the unit of the column.',
    rmse: 'Root mean squared error',
    rmseHint: 'How far off it is, where large errors count more, in the unit of the column.',
    r2: 'R²',
    r2Hint:
      'The share of the differences that it explains: 1 is all, 0 is no better than the mean.',
    residuals: 'Residuals',
    residualsSentence: (low: string, high: string, mean: string) =>
      `Prediction minus truth, from ${low} to ${high}, on average ${mean}.`,
    scatter: 'Predicted against true',
    scatterSentence: 'Points on the diagonal are exact.',
    actual: 'True',
    predicted: 'Predicted',
    points: 'rows',
    worst: 'Largest errors',
    off: (by: string) => `off by ${by}`,
  },
};
