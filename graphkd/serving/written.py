"""Convert a module to bytes of torch.export or ONNX, and run these."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.serving.inputs import Inputs, copied
from graphkd.serving.onnx_packages import needed, quiet

Run = Callable[[Mapping[str, Tensor]], list[Tensor]]
# Students of this library that cannot be traced: why, and what to export in their place.
_UNTRACED: Mapping[str, str] = {
    "PLP": "propagates labels over the one graph that it was trained on: its answers, (N, C), serve the same nodes",
    "PAM": "finds the peers of each graph anew, outside of torch: ask it in torch, or keep its answers in a table",
    "Positioned": "keeps a position for each node of one graph: give 'position', (rows, d), in the example beside 'x'",
}
_QUANTISED = ("MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul")


def as_program(model: nn.Module, inputs: Inputs) -> tuple[bytes, Run]:
    """Trace by ``torch.export``; return the program's bytes, for ``torch.export.load``, and a function to run it."""
    program = _traced(model, inputs)
    file = io.BytesIO()
    with quiet():
        torch.export.save(program, file)
        module = program.module()
    return file.getvalue(), lambda given: outputs_of(module(**copied(given)), model)


def as_onnx(model: nn.Module, inputs: Inputs, *, int8: bool) -> tuple[bytes, Run]:
    """Write an ONNX graph, float or with int8 linear layers; return its bytes, and a function to run it.

    Raises TypeError for operators that ONNX lacks, ImportError without the packages.
    """
    runtime, _ = needed("onnxruntime"), [needed(name) for name in ("onnx", "onnxscript")]
    program, names = _traced(model, inputs), list(inputs.example)
    answers = len(outputs_of(model(**copied(inputs.example)), model))
    outputs = ["answers"] if answers == 1 else [f"answers_{place}" for place in range(answers)]
    try:
        with quiet():
            graph = torch.onnx.export(program, input_names=names, output_names=outputs, dynamo=True, verbose=False)
    except Exception as error:  # torch.onnx has errors of its own for each of its steps
        raise TypeError(
            f"{type(model).__name__} must be made of operators that ONNX has: {_first_line(error)}; export it as "
            "form='program', or keep its answers in a table"
        ) from error
    assert graph is not None
    content = graph.model_proto.SerializeToString()
    if int8:
        content = _in_int8(content, model)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(given: Mapping[str, Tensor]) -> list[Tensor]:
        arrays = {each.name: given[each.name].numpy() for each in session.get_inputs()}
        return [torch.from_numpy(found) for found in session.run(None, arrays)]

    return content, run


def outputs_of(answers: Any, model: nn.Module) -> list[Tensor]:
    """Return a model's outputs as a list; TypeError unless they are a tensor or a tuple of tensors."""
    found = list(answers) if isinstance(answers, (tuple, list)) else [answers]
    if not found or not all(isinstance(each, Tensor) for each in found):
        raise TypeError(
            f"{type(model).__name__} must answer by a tensor, or a tuple of them, to be exported, got "
            f"{type(answers).__name__}"
        )
    return found


def _traced(model: nn.Module, inputs: Inputs) -> torch.export.ExportedProgram:
    sizes = {size: torch.export.Dim(size) for dims in inputs.free.values() for size in dims.values()}
    free = {name: {dim: sizes[size] for dim, size in dims.items()} for name, dims in inputs.free.items()}
    try:
        with quiet():
            return torch.export.export(model, (), copied(inputs.example), dynamic_shapes=free)
    except Exception as error:  # torch.export's errors have no base of their own
        known = [name for name in (type(part).__name__ for part in model.modules()) if name in _UNTRACED]
        why = f"{known[0]} {_UNTRACED[known[0]]}" if known else _first_line(error)
        raise TypeError(
            f"{type(model).__name__} must be a module that torch.export traces with any number of rows: {why}"
        ) from error


def _in_int8(content: bytes, model: nn.Module) -> bytes:
    """Quantise products by weights to int8; ValueError if the graph has none."""
    quantization, onnx = needed("onnxruntime.quantization"), needed("onnx")
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(content)
        quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8)
        found = target.read_bytes()
    if not any(node.op_type in _QUANTISED for node in onnx.load_from_string(found).graph.node):
        raise ValueError(f"{type(model).__name__} must have linear layers to be put into int8, none was found")
    return found


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
