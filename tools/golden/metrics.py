"""Golden figures for src/evaluation, computed by scikit-learn on made-up predictions.

Run: python tools/golden/metrics.py   (needs numpy and scikit-learn; writes tests/fixtures/metrics/*.json)
"""

import json
import math
from pathlib import Path

import numpy as np
from sklearn import metrics

OUT = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "metrics"
Z = 1.959963984540054


def wilson(k, n):
    if n == 0:
        return [0.0, 0.0, 1.0]
    p = k / n
    d = 1 + Z * Z / n
    c = (p + Z * Z / (2 * n)) / d
    h = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / d
    return [p, max(0.0, c - h), min(1.0, c + h)]


def classification(name, rng, rows, classes, skill, digits):
    actual = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), actual] += skill
    p = np.exp(logits)
    p = np.round(p / p.sum(1, keepdims=True), digits)
    predicted = p.argmax(1)
    labels = list(range(classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        actual, predicted, labels=labels, zero_division=0
    )
    confusion = metrics.confusion_matrix(actual, predicted, labels=labels)
    roc, pr = [], []
    for c in labels:
        fpr, tpr, thresholds = metrics.roc_curve(actual == c, p[:, c])
        prec, rec, _ = metrics.precision_recall_curve(actual == c, p[:, c])
        roc.append(
            {
                "auc": metrics.roc_auc_score(actual == c, p[:, c]),
                "fpr": fpr.tolist(),
                "tpr": tpr.tolist(),
                "thresholds": thresholds[1:].tolist(),
            }
        )
        pr.append(
            {
                "average_precision": metrics.average_precision_score(actual == c, p[:, c]),
                "precision": prec.tolist(),
                "recall": rec.tolist(),
            }
        )
    confidence = p.max(1)
    right = (actual == predicted).astype(float)
    bins = np.clip(np.ceil(confidence * 10).astype(int) - 1, 0, 9)
    ece = sum(
        abs(right[bins == b].sum() - confidence[bins == b].sum()) / rows for b in range(10)
    )
    # Cut by hand: scikit-learn warns where rounded rows do not sum to one.
    eps = np.finfo(float).eps
    log_loss = -np.log(np.clip(p[np.arange(rows), actual], eps, 1 - eps)).mean()
    write(
        name,
        {
            "classes": [f"class {c}" for c in labels],
            "actual": actual.tolist(),
            "probabilities": p.tolist(),
            "predicted": predicted.tolist(),
            "accuracy": wilson(int(right.sum()), rows),
            "log_loss": float(log_loss),
            "precision": precision.tolist(),
            "recall": recall.tolist(),
            "recall_wilson": [wilson(int(confusion[c, c]), int(confusion[c].sum())) for c in labels],
            "precision_wilson": [
                wilson(int(confusion[c, c]), int(confusion[:, c].sum())) for c in labels
            ],
            "f1": f1.tolist(),
            "support": support.tolist(),
            "macro": [
                metrics.precision_score(actual, predicted, average="macro", zero_division=0),
                metrics.recall_score(actual, predicted, average="macro", zero_division=0),
                metrics.f1_score(actual, predicted, average="macro", zero_division=0),
            ],
            "confusion": confusion.tolist(),
            "roc": roc,
            "pr": pr,
            "ece": float(ece),
            "macro_f1_bootstrap": bootstrap(
                rng,
                rows,
                lambda i: metrics.f1_score(actual[i], predicted[i], average="macro", zero_division=0),
            ),
        },
    )


def regression(name, rng, rows):
    actual = 4000 + 800 * rng.normal(size=rows)
    predicted = actual + 200 * rng.standard_t(4, size=rows) + 30
    scores = lambda i: [
        metrics.mean_absolute_error(actual[i], predicted[i]),
        math.sqrt(metrics.mean_squared_error(actual[i], predicted[i])),
        metrics.r2_score(actual[i], predicted[i]),
    ]
    every = np.arange(rows)
    write(
        name,
        {
            "actual": actual.tolist(),
            "predicted": predicted.tolist(),
            "figures": scores(every),
            "bootstrap": [bootstrap(rng, rows, lambda i, k=k: scores(i)[k]) for k in range(3)],
        },
    )


def bootstrap(rng, rows, statistic):
    values = [statistic(rng.integers(0, rows, rows)) for _ in range(1000)]
    return np.percentile(values, [2.5, 97.5]).tolist()


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(value) + "\n")


rng = np.random.default_rng(7)
classification("three-classes", rng, 120, 3, 1.5, 3)
classification("binary-with-ties", rng, 90, 2, 1.0, 1)
classification("ten-classes", rng, 400, 10, 2.5, 4)
regression("regression", rng, 150)
