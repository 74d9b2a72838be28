"""Export models to files that run without this library: torch.export and ONNX, float or int8, checked against torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.by_name import fill
from graphkd.core.card import architecture, versions
from graphkd.core.distilled import Distilled
from graphkd.core.files import replacing
from graphkd.core.lazy import lacks_shapes
from graphkd.core.task import Task
from graphkd.core.view import Call
from graphkd.core.wrappers import unwrapped
from graphkd.serving.inputs import Inputs, copied
from graphkd.serving.written import Run, as_onnx, as_program, outputs_of

Form = Literal["onnx", "program"]
_SUFFIXES: Mapping[str, Form] = {".onnx": "onnx", ".pt2": "program"}
_ROWS = (2, 1, 5, 40)  # of the random inputs on which a file is checked
_INT8 = 0.25  # largest error of int8 on random inputs, in parts of the largest answer; beyond it the file is broken


@torch.no_grad()
def export(
    model: nn.Module | Distilled,
    example: Any,
    path: str | Path,
    *,
    form: Form | None = None,
    int8: bool = False,
    tolerance: float = 1e-5,
    task: Task | None = None,
    data: Any = None,
    call: Call | None = None,
    card: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model for ONNX Runtime or for ``torch.export.load``, checked against eager torch, and a card beside it.

    The numbers of rows, edges and pairs stay free: inputs named ``edge_index`` and ``edge_label_index`` are (2, E), ids
    of the first input's rows; others are (rows, ...) if they have as many rows as the first, (E, ...) if named
    ``edge_...`` with as many rows as edges, else of fixed shape.
    A model of graphs is exported without ``batch``, for one graph at a time. The file is compared with the model
    in eval mode on random inputs of 1 to 40 rows and written only if they agree. The card is ``path`` with ``.json``
    appended. ONNX Runtime runs an ``.onnx`` file by ``InferenceSession(path).run(None, {"x": features})``.

    Args:
        model: a module, or the result of ``distil``; it is not changed. It must return a tensor or a tuple of tensors.
        example: inputs of the model with at least one row: a tensor, a tuple of tensors, or a mapping by name.
        path: a file; its folder is created.
        form: "onnx" or "program" (torch.export); by default from the suffix, ``.onnx`` or ``.pt2``.
        int8: store weights of linear layers in one byte each and quantise inputs at each call (ONNX Runtime's dynamic
            quantisation). Answers differ from eager torch; the card has the largest difference and the share of random
            rows whose largest class is the same. Give ``task`` to measure the loss in the metric.
        tolerance: largest difference of answers, in parts of the largest one, at least 1; not used for int8.
        task: evaluates model and file; the card gets ``scores`` and ``exported_scores``. Needs ``data``.
        data: the data on which ``task`` evaluates.
        call: how ``task`` calls the model, ``call(model, batch)``; by default by the names of ``forward``'s arguments.
        card: further plain values for the card.

    Returns the card. Raises ImportError naming the extra if packages are missing (``pip install 'graphkd[onnx]'``),
    TypeError for a model that torch.export cannot trace or that ONNX has no operators for, RuntimeError if the file's
    answers differ from eager torch's.

    Example::

        >>> import tempfile
        >>> from torch_geometric.nn import MLP
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     card = export(MLP([8, 3], norm=None), data.x[:2], f"{folder}/student.pt2")
        ...     loaded = torch.export.load(f"{folder}/student.pt2").module()
        >>> card["exported"]["form"], tuple(loaded(x=data.x[:7]).shape)
        ('program', (7, 3))
    """
    path = Path(path)
    form = _form(path, form, int8)
    told = {**(model.card if isinstance(model, Distilled) else {}), **(card or {})}
    model = _plain(model)
    inputs = Inputs.of(model, example)
    if (task is None) != (data is None):
        raise ValueError("'task' and 'data' go together: give both, or neither")
    content, run = as_onnx(model, inputs, int8=int8) if form == "onnx" else as_program(model, inputs)
    compared = _compared(model, inputs, run, _INT8 if int8 else tolerance, f"{form}{' in int8' if int8 else ''}")
    if task is not None:
        told |= _scores(task, model, _Ran(run, list(inputs.example)), data, call)
    told["exported"] = {
        "form": form,
        "int8": int8,
        "model": architecture(model),
        "inputs": {name: list(tensor.shape) for name, tensor in inputs.example.items()},
        **compared,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": versions(),
    }
    written = json.dumps(told, indent=2, default=str).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    for where, what in ((path, content), (path.with_name(f"{path.name}.json"), written)):
        with replacing(where) as file:
            file.write(what)
    return told


def _form(path: Path, form: Form | None, int8: bool) -> Form:
    if form is None:
        form = _SUFFIXES.get(path.suffix)
        if form is None:
            raise ValueError(
                f"'path' must end in one of {list(_SUFFIXES)}, or 'form' say what it is, got {path.name!r}"
            )
    if form not in get_args(Form):
        raise ValueError(f"'form' must be one of {get_args(Form)}, got {form!r}")
    if int8 and form != "onnx":
        raise ValueError("'int8' is ONNX Runtime's: give a path that ends in .onnx, or leave it out")
    return form


def _plain(model: Any) -> nn.Module:
    """Copy the plain model, in eval mode on the CPU."""
    model = model.model if isinstance(model, Distilled) else model
    if not isinstance(model, nn.Module):
        raise TypeError(f"'model' must be a torch module, or what distil gave, got {type(model).__name__}")
    model = unwrapped(model)
    if lacks_shapes(model):
        raise TypeError(f"{type(model).__name__} has layers without widths yet: call it once")
    return deepcopy(model).cpu().eval()


def _compared(model: nn.Module, inputs: Inputs, run: Run, tolerance: float, what: str) -> dict[str, Any]:
    """Return the largest difference to eager torch and the share of rows with the same largest class.

    Raises RuntimeError for a difference above the tolerance.
    """
    largest, same, rows = 0.0, 0, 0
    for seed, count in enumerate(_ROWS):
        given = inputs.drawn(count, seed)
        wanted, found = outputs_of(model(**copied(given)), model), run(given)
        if [each.shape for each in wanted] != [each.shape for each in found]:
            shapes = [[tuple(each.shape) for each in side] for side in (wanted, found)]
            raise RuntimeError(f"{what} must give {shapes[0]} for {count} rows, as torch does, got {shapes[1]}")
        for one, other in zip(wanted, found, strict=True):
            gap = float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
            largest = max(largest, gap)
            scale = float(one.double().abs().max()) if one.numel() else 0.0
            if not gap <= tolerance * max(1.0, scale):
                raise RuntimeError(
                    f"{what} must give what eager torch gives, got answers that differ by {gap:.3g} of {scale:.3g} for "
                    f"{count} rows: its release may be at fault, or 'forward' depends on more than its inputs"
                )
        if wanted[0].dim() == 2:
            same += int((wanted[0].argmax(1) == found[0].argmax(1)).sum())
            rows += len(wanted[0])
    return {"largest_difference": largest, "same_class": same / rows if rows else None}


class _Ran(nn.Module):
    """Stand in for a module by the file exported from it, so that tasks can evaluate the file."""

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        super().__init__()
        self.run, self.names = run, tuple(names)

    def forward(self, *given: Tensor, **named: Tensor) -> Tensor:
        """Map the module's inputs, by position or name, to its first output."""
        return self.run({**dict(zip(self.names, given, strict=False)), **named})[0]


def _scores(task: Task, model: nn.Module, ran: _Ran, data: Any, call: Call | None) -> dict[str, Any]:
    """Compute the metric of the model and of the file."""
    prepared = task.prepare(data)

    def by_name(file: nn.Module, batch: Any) -> Tensor:
        return file(**fill(ran.names, batch, "the exported model", "; give call=lambda model, batch: ..."))

    return {
        "scores": task.scores(model, prepared, call),
        "exported_scores": task.scores(ran, prepared, call or by_name),
    }
