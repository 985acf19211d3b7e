"""Golden figures of recipes, made with scikit-learn: python tools/golden/recipe.py

Writes tests/fixtures/data/recipe-golden.json: a table with gaps, constants and a category that the training rows
never show, and the features that SimpleImputer, StandardScaler and OneHotEncoder make of it, fitted on those rows.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_class_weight

ROWS = 60
rng = np.random.default_rng(7)


def with_gaps(values, share):
    values = values.astype(np.float64)
    values[rng.random(len(values)) < share] = np.nan
    return values


numeric = {
    "length": with_gaps(np.round(rng.normal(44, 5, ROWS), 1), 0.15),
    "mass": with_gaps(np.round(rng.normal(4200, 800, ROWS)), 0.1),
    "skewed": with_gaps(np.round(np.exp(rng.normal(0, 2, ROWS)), 3), 0.3),
    "tiny": with_gaps(rng.normal(0, 1e-6, ROWS), 0.1),
    "large": np.round(rng.normal(1e7, 1e5, ROWS)),
    "constant": np.where(rng.random(ROWS) < 0.2, np.nan, 3.5),
}
train = np.sort(rng.permutation(ROWS)[:40])
islands = np.array(["Biscoe", "Dream", "Torgersen"])[rng.integers(0, 3, ROWS)].astype(object)
islands[rng.random(ROWS) < 0.1] = None
held_out = [row for row in range(ROWS) if row not in set(train.tolist())]
islands[held_out[:3]] = "Anvers"  # never seen in training
sexes = np.array(["male", "female"])[rng.integers(0, 2, ROWS)].astype(object)
sexes[rng.random(ROWS) < 0.2] = None
categorical = {"island": islands, "sex": sexes}


def vocabulary(values):
    """Most frequent in training first, ties by first appearance in the table."""
    counts = {}
    for row in train:
        if values[row] is not None:
            counts[values[row]] = counts.get(values[row], 0) + 1
    first = {}
    for row, value in enumerate(values):
        first.setdefault(value, row)
    return sorted(counts, key=lambda text: (-counts[text], first[text]))


def one_hot(values):
    known = vocabulary(values)
    texts = np.array(
        [["<missing>" if v is None else v if v in known else "<other>"] for v in values], dtype=object
    )
    encoder = OneHotEncoder(categories=[["<missing>", "<other>", *known]], sparse_output=False)
    encoder.fit(texts[train])
    return encoder.transform(texts)


table = np.stack(list(numeric.values()), axis=1).astype(np.float32).astype(np.float64)
encoded = [one_hot(values) for values in categorical.values()]
results = []
for impute in ("median", "mean"):
    for standardise in (True, False):
        filled = SimpleImputer(strategy=impute).fit(table[train]).transform(table)
        if standardise:
            filled = StandardScaler().fit(filled[train]).transform(filled)
        features = np.concatenate([filled, *encoded], axis=1)
        results.append(
            {"impute": impute, "standardise": standardise, "features": features.ravel().tolist()}
        )

labels = rng.choice(4, 50, p=[0.5, 0.3, 0.15, 0.05])
weights = compute_class_weight("balanced", classes=np.arange(4), y=labels)


def plain(values):
    return [None if isinstance(v, float) and np.isnan(v) else v for v in values.tolist()]


golden = {
    "numeric": {name: plain(values) for name, values in numeric.items()},
    "categorical": {name: values.tolist() for name, values in categorical.items()},
    "train": train.tolist(),
    "results": results,
    "balanced": {"counts": np.bincount(labels, minlength=4).tolist(), "weights": weights.tolist()},
}
path = Path(__file__).parents[2] / "tests/fixtures/data/recipe-golden.json"
path.write_text(json.dumps(golden) + "\n")
