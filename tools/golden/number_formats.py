"""Codes of the small number formats after ml_dtypes (0.6.0; the package that ONNX itself uses) with numpy 2.

Run from the repository root: python tools/golden/number_formats.py
"""
import json

import ml_dtypes
import numpy as np

TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8e5m2": ml_dtypes.float8_e5m2,
    "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float4e2m1": ml_dtypes.float4_e2m1fn,
}
EDGES = [0.0, -0.0, 1, -1, 0.5, 0.25, 0.75, 1.5, 2.5, 3.5, 5, 6, 7, 1e-8, 5.96e-8, 2.98e-8, 2.9802323e-8]
EDGES += [65504, 65519, 65520, 1e5, -1e5, 240, 248, 256, 448, 464, 480, 57344, 61440, 65535]
EDGES += [1e38, 3.3895e38, 3.4e38, np.inf, -np.inf, 2**-9, 2**-10, 0.00097656256, 1.0078125, 1.01171875, 1.00390625]

rng = np.random.default_rng(5)
random = rng.standard_normal(60) * 10 ** rng.uniform(-6, 5, 60)
values = np.concatenate([np.array(EDGES), random]).astype(np.float32)


def plain(x):
    return str(x) if not np.isfinite(x) else float(x)


golden = {"values": [plain(x) for x in values], "encode": {}, "decode": {}}
with np.errstate(all="ignore"):
    for name, kind in TYPES.items():
        codes = values.astype(kind)
        golden["encode"][name] = codes.view(np.uint16 if name.endswith("16") else np.uint8).tolist()
for name, kind in {**TYPES, "float8e8m0": ml_dtypes.float8_e8m0fnu}.items():
    if name.endswith("16"):
        continue
    codes = np.arange(16 if name == "float4e2m1" else 256, dtype=np.uint8)
    golden["decode"][name] = [plain(x) for x in codes.view(kind).astype(np.float64)]
with open("tests/fixtures/onnx/number-formats.json", "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
