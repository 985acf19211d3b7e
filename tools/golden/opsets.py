"""Opsets in which ONNX's operators got their forms, for docs/OPERATORS.md.

    pip install onnx==1.23.2
    python tools/golden/opsets.py > tests/fixtures/conformance/opsets.json
"""

import json

from onnx import defs

LAST = 24

forms = {}
for schema in defs.get_all_schemas_with_history():
    if schema.domain == "" and schema.since_version <= LAST:
        forms.setdefault(schema.name, set()).add(schema.since_version)
lines = [f"  {json.dumps(name)}: {json.dumps(sorted(versions))}" for name, versions in sorted(forms.items())]
print("{\n" + ",\n".join(lines) + "\n}")
