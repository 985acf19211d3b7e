"""Packs ONNX's own operator tests of opset 18 to 24, as the Python package `onnx` makes them, into one archive.

    pip install onnx==1.23.2
    cd tests/fixtures/conformance
    python ../../../tools/golden/conformance.py onnx-1.12.tar.gz onnx-1.23.tar.gz onnx-exported.tar.gz

The first archive holds the suite of ONNX 1.12 (opset 17): what it holds in the same form is left out here, and so are
operators that no exported network of tensors uses (text, sequences, trees, images, signal processing), those that came
after opset 24, and decompositions of single operators ("expanded"), but for the few families named below.

The last archive holds the package's small models that PyTorch exported long ago, in opset 6 and 9.
"""

import gzip
import io
import pathlib
import sys
import tarfile
import warnings

import onnx
from onnx import TensorProto, checker, numpy_helper, shape_inference
from onnx.backend.test.case.node import collect_testcases

OPSETS = range(18, 25)
LAST_IR = 11
LARGEST = 200_000
LARGEST_EXPORTED = 40_000
OTHER_FIELDS = {
    "Adagrad", "Adam", "ArrayFeatureExtractor", "Bernoulli", "Binarizer", "BlackmanWindow", "DFT", "DeformConv",
    "Det", "HammingWindow", "HannWindow", "ImageDecoder", "LabelEncoder", "MelWeightMatrix", "Momentum",
    "OptionalGetElement", "OptionalHasElement", "RegexFullMatch", "RoiAlign", "STFT", "SequenceInsert",
    "SequenceMap", "SplitToSequence", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer",
    "TreeEnsemble", "Unique",
}  # fmt: skip
# What an operator is made of, where that is a graph worth running by itself.
EXPANDED = ("test_group_normalization", "test_layer_normalization_2d", "test_attention_4d_", "test_gelu",
            "test_rms_normalization_2d", "test_rotary_embedding", "test_sce_mean", "test_affine_grid")  # fmt: skip


def known(path):
    with tarfile.open(path) as archive:
        return {name.split("/")[0] for name in archive.getnames()}


def fits(model):
    """Whether opset 24 has the operators in this form; a newer model is then written as one of opset 24."""
    for entry in model.opset_import:
        entry.version = min(entry.version, OPSETS[-1])
    model.ir_version = min(model.ir_version, LAST_IR)
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError):
        return False
    return True


def as_tensor(value, proto):
    if isinstance(value, TensorProto):
        return value
    return numpy_helper.from_array(value, proto.name)


def add(archive, path, data):
    entry = tarfile.TarInfo(path)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def files_of(case):
    model = case.model
    yield "model.onnx", model.SerializeToString(deterministic=True)
    for number, (inputs, outputs) in enumerate(case.data_sets):
        for kind, values, protos in (("input", inputs, model.graph.input), ("output", outputs, model.graph.output)):
            for index, value in enumerate(values):
                tensor = as_tensor(value, protos[index])
                yield f"test_data_set_{number}/{kind}_{index}.pb", tensor.SerializeToString(deterministic=True)


def wanted(case, have):
    model = case.model
    if model is None or any(entry.domain not in ("", "ai.onnx") for entry in model.opset_import):
        return "another domain"
    operators = {node.op_type for node in model.graph.node}
    if operators & OTHER_FIELDS:
        return "another field"
    if not all(info.type.HasField("tensor_type") for info in [*model.graph.input, *model.graph.output]):
        return "not of tensors"
    if any(info.type.tensor_type.elem_type == TensorProto.STRING for info in model.graph.input):
        return "text"
    opset = next(entry.version for entry in model.opset_import)
    if case.name in have and opset < OPSETS[0]:
        return "in the older suite"
    if "_expanded" in case.name and not case.name.startswith(EXPANDED):
        return "a decomposition"
    return None


def pack(target, buffer):
    with open(target, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(buffer.getvalue())


def pack_exported(target):
    data = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    buffer = io.BytesIO()
    written = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in sorted([*data.glob("pytorch-operator/*"), *data.glob("pytorch-converted/*")]):
            files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".onnx", ".pb")]
            if sum(path.stat().st_size for path in files) > LARGEST_EXPORTED:
                continue
            written += 1
            for path in files:
                add(archive, f"{folder.name}/{path.relative_to(folder)}", path.read_bytes())
    pack(target, buffer)
    print(f"{written} exported models")


def main(older, target, exported):
    warnings.filterwarnings("ignore")
    have = known(older)
    left_out, sizes, written = {}, {}, 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for case in sorted(collect_testcases(None), key=lambda case: case.name):
            reason = wanted(case, have)
            if reason is None and not fits(case.model):
                reason = "newer than opset 24"
            files = [] if reason else list(files_of(case))
            if sum(len(data) for _, data in files) > LARGEST:
                reason = "large"
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            written += 1
            for path, data in files:
                sizes[case.name] = sizes.get(case.name, 0) + len(data)
                add(archive, f"{case.name}/{path}", data)
    pack(target, buffer)
    pack_exported(exported)
    print(f"onnx {onnx.__version__}: {written} tests, {sum(sizes.values())} bytes; left out: {left_out}")
    for name in sorted(sizes, key=sizes.get)[-8:]:
        print(f"  {sizes[name]:8} {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
