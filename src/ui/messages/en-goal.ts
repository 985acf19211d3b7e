export const goal = {
  question: 'Which column should it predict?',
  suggested: 'suggested',
  others: 'Another column',
  next: 'See the model',
  train: 'Train it',
  task: 'What kind of answer?',
  classification: 'One of several classes',
  classificationText: (values: string) => `It answers with one of: ${values}.`,
  regression: 'A number',
  regressionText: (low: string, high: string) =>
    `It answers with a number; so far from ${low} to ${high}.`,
  gates: 'When is it good enough?',
  gatesText:
    'Gates are judged wherever a model is: met, not met, or too few rows to tell. Leave off what does not matter.',
  gate: { metric: 'How right', size: 'Size of the file', latency: 'Time for one answer' },
  metric: 'Measured as',
  metrics: {
    accuracy: 'accuracy',
    f1_macro: 'F1, mean over classes',
    mae: 'mean absolute error',
    rmse: 'root mean squared error',
    r2: 'R²',
  },
  metricHints: {
    accuracy: 'The share of rows that it gets right.',
    f1_macro:
      'How well it finds each class without crying wolf (harmonic mean of precision and recall), averaged over the classes.',
    mae: 'How far off it is on average, in the unit of the column.',
    rmse: 'How far off it is, where large errors count more, in the unit of the column.',
    r2: 'The share of the differences that it explains: 1 is all, 0 is no better than the mean.',
  },
  atLeast: 'at least',
  atMost: 'at most',
  percent: '%',
  kilobytes: 'kB',
  milliseconds: 'ms',
  threshold: 'Threshold',
};
