"""Run a folder of golden cases through the library: ``python -m tests.parity DIR``.

``ADAPTERS`` maps the name of a case to a function that renames its inputs, calls the library and returns the outputs.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.adapters import (
    click_through,
    evaluation,
    federated,
    gnn_procedures,
    gnn_students,
    graph,
    graph_relation,
    guidance,
    hetcomp,
    mutual,
    newgraph_edges,
    newgraph_graphs,
    newgraph_links,
    newgraph_nodes,
    newrec_lightgnn,
    newrec_sequences,
    newrec_tables,
    online,
    recbole,
    recsys,
    relation,
    response,
    sequences,
    weights,
)

Adapter = Callable[[dict[str, Tensor], dict], dict[str, Tensor]]

ADAPTERS: dict[str, Adapter] = {
    **click_through.ADAPTERS,
    **evaluation.ADAPTERS,
    **federated.ADAPTERS,
    **gnn_procedures.ADAPTERS,
    **gnn_students.ADAPTERS,
    **graph.ADAPTERS,
    **graph_relation.ADAPTERS,
    **guidance.ADAPTERS,
    **hetcomp.ADAPTERS,
    **mutual.ADAPTERS,
    **newgraph_edges.ADAPTERS,
    **newgraph_graphs.ADAPTERS,
    **newgraph_links.ADAPTERS,
    **newgraph_nodes.ADAPTERS,
    **newrec_lightgnn.ADAPTERS,
    **newrec_sequences.ADAPTERS,
    **newrec_tables.ADAPTERS,
    **online.ADAPTERS,
    **recbole.ADAPTERS,
    **relation.ADAPTERS,
    **recsys.ADAPTERS,
    **response.ADAPTERS,
    **sequences.ADAPTERS,
    **weights.ADAPTERS,
}
# Methods that are described and are not here yet, and why; an adapter takes a case out of this list.
LATER: dict[str, str] = {}
SAMPLERS = "sampler_"  # laws, not values: chi-square tests of their own


def read(path: Path) -> dict[str, Tensor]:
    """The arrays of one case."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}


def run_case(case: dict, folder: Path) -> tuple[float, float, bool]:
    """Worst error of the values and of the gradients relative to the largest entry, and whether all are in bounds.

    A value of another shape than the wanted one is off by infinity.
    """
    arrays = read(folder / case["file"])
    wanted = {name: arrays.pop(name) for name in case["outputs"]}
    inputs = {name: _leaf(value, f"grad_{name}" in wanted) for name, value in arrays.items()}
    got = ADAPTERS[case["file"].rsplit(".", 2)[0]](inputs, dict(case["params"]))
    gradients = {name.removeprefix("grad_"): want for name, want in wanted.items() if name.startswith("grad_")}
    asked = {name: inputs[name] for name in gradients if f"grad_{name}" not in got}
    if asked:
        grads = torch.autograd.grad(got["loss"], list(asked.values()), allow_unused=True)
        zeros = (
            torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(asked.values(), grads, strict=True)
        )
        got |= {f"grad_{name}": grad for name, grad in zip(asked, zeros, strict=True)}
    worst, passed = {False: 0.0, True: 0.0}, True
    for name, want in wanted.items():
        is_gradient = name.startswith("grad_")
        bound = case.get("rtol") or (1e-7 if is_gradient and case["source"] == "formula" else 1e-9)
        off = error(got[name].detach(), want)
        scale = float(want.double().abs().max()) if want.numel() else 0.0
        passed &= off <= bound * scale + 1e-12
        beyond_noise = max(off - 1e-12, 0.0)
        worst[is_gradient] = max(worst[is_gradient], beyond_noise / scale if scale else beyond_noise)
    return worst[False], worst[True], passed


def _leaf(value: Tensor, differentiate: bool) -> Tensor:
    """A quantity stored as integers has a gradient as a real number."""
    if not differentiate:
        return value
    return (value if value.is_floating_point() else value.double()).requires_grad_()


def error(got: Tensor, want: Tensor) -> float:
    """The largest difference of two entries; infinity for another shape."""
    if got.shape != want.shape:
        return math.inf
    return float((got.double() - want.double()).abs().max()) if want.numel() else 0.0


def _line(case: dict, folder: Path) -> tuple[str, bool]:
    """What is said of a case, and whether it passed; one that raises an error has failed by it."""
    try:
        value, gradient, ok = run_case(case, folder)
    except Exception as raised:  # whatever one case raises, the others are still to be run
        return f"-  -  FAIL  {type(raised).__name__}: {' '.join(str(raised).split())}", False
    return f"{value:.1e}  {gradient:.1e}  {'ok' if ok else 'FAIL'}", ok


def main(folder: Path) -> int:
    """Print a line a case and the count; 1 if anything failed, or had no adapter and is not among ``LATER``."""
    passed = failed = skipped = 0
    for case in json.loads((folder / "index.json").read_text()):
        file = case["file"]
        if file.startswith(SAMPLERS):
            skipped += 1
            print(f"{file}  -  -  a law, see the samplers' chi-square tests")
        elif (name := file.rsplit(".", 2)[0]) not in ADAPTERS and name in LATER:
            skipped += 1
            print(f"{file}  -  -  not there yet: {LATER[name]}")
        elif name not in ADAPTERS:
            failed += 1
            print(f"{file}  -  -  no adapter")
        else:
            said, ok = _line(case, folder)
            passed, failed = passed + ok, failed + (not ok)
            print(f"{file}  {said}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
