/**
 * What judging a model yields, as plain figures: part of the records in entities.ts, which passes these names on.
 * Nothing here knows a project, a run or a file.
 */

/** A figure never stands alone: value with its 95 % interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface LatencyReport {
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly rowsPerSecond: number;
  readonly provider: string;
}

export interface ClassificationReport {
  readonly task: 'classification';
  readonly classes: readonly string[];
  readonly accuracy: Estimate;
  readonly correct: number;
  readonly total: number;
  readonly logLoss: number;
  readonly macro: { readonly precision: number; readonly recall: number; readonly f1: Estimate };
  readonly perClass: readonly {
    readonly label: string;
    readonly support: number;
    readonly precision: Estimate;
    readonly recall: Estimate;
    readonly f1: Estimate;
  }[];
  /** [true class][predicted class] counts. */
  readonly confusion: readonly (readonly number[])[];
  /** One-vs-rest, per class; at most 200 points each. */
  readonly roc: readonly {
    readonly label: string;
    readonly auc: number;
    readonly points: readonly CurvePoint[];
  }[];
  readonly pr: readonly {
    readonly label: string;
    readonly averagePrecision: number;
    readonly points: readonly CurvePoint[];
  }[];
  readonly reliability: {
    readonly ece: number;
    readonly bins: readonly {
      readonly low: number;
      readonly high: number;
      readonly count: number;
      readonly confidence: number;
      readonly accuracy: number;
    }[];
  };
}

/** ROC: x false-positive rate, y true-positive rate. PR: x recall, y precision. */
export interface CurvePoint {
  readonly threshold: number;
  readonly x: number;
  readonly y: number;
}

export interface RegressionReport {
  readonly task: 'regression';
  readonly mae: Estimate;
  readonly rmse: Estimate;
  readonly r2: Estimate;
  readonly total: number;
  readonly residuals: {
    readonly histogram: readonly {
      readonly low: number;
      readonly high: number;
      readonly count: number;
    }[];
  };
}

/** Predictions of an Evaluation row by row, kept as one chunk each; row = row of the DatasetVersion. */
export interface PredictionRow {
  readonly row: number;
  readonly actual: number;
  readonly predicted: number;
  /** Classification: probability of each class. */
  readonly probabilities: readonly number[];
}

export interface ImportanceReport {
  readonly metric: 'accuracy' | 'rmse';
  readonly baseline: number;
  readonly features: readonly { readonly column: string; readonly drop: Estimate }[];
}

/** Paired comparison of two models on the same rows. */
export interface PairedComparison {
  readonly rows: number;
  /** Loss of accuracy (or rise of RMSE) from a to b, positive is worse, with its 95 % interval. */
  readonly loss: Estimate;
  readonly onlyARight: number;
  readonly onlyBRight: number;
}
