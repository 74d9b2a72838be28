"""Autocast to bfloat16 through fit: the student computes in half precision, losses and gradients stay close."""

from __future__ import annotations

import pytest
import torch
from lightning_fabric import Fabric
from torch_geometric.nn import GCN, GraphSAGE

from graphkd import Cached, Distiller, Frozen, fit
from graphkd.losses import CE, GCRD, GSP, KL, LSP
from tests.core.models import CLASSES, FEATURES, graph

WIDTHS = (8, 16)
PRECISIONS = ("32-true", "bf16-mixed")


def model(kind: type, width: int, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return kind(FEATURES, width, 2, CLASSES)


def task(kind: type, teacher: Frozen) -> Distiller:
    """A student with every family of losses; GCRD brings heads, which train under autocast too."""
    student = model(kind, WIDTHS[0], 1)
    losses = {
        "ce": CE(where="train_mask"),
        "kd": KL(4.0),
        "lsp": 100 * LSP(),
        "gsp": GSP(),
        "gcrd": 0.1 * GCRD(*WIDTHS, 16),
    }
    return Distiller(student, teacher, losses, taps={"hidden": "convs.0"})


@pytest.mark.parametrize("kind", [GCN, GraphSAGE])
@pytest.mark.parametrize("wrap", [Frozen, Cached])
def test_training_under_autocast_goes_as_in_float32(kind, wrap):
    data, reports, seen = graph(), {}, {}
    teacher = fit(Distiller(model(kind, WIDTHS[1], 0), losses=CE(where="train_mask")), data, epochs=40)
    for precision in PRECISIONS:
        reports[precision] = []
        distiller = task(kind, wrap(teacher))
        linear = next(part for part in distiller.student.modules() if type(part).__name__ == "Linear")
        linear.register_forward_hook(lambda _, inputs, output, name=precision: seen.update({name: output.dtype}))
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        student = fit(distiller, data, epochs=30, fabric=fabric, log=reports[precision].append)
        assert {parameter.dtype for parameter in student.parameters()} == {torch.float32}
    assert seen == {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
    full, half = (reports[precision] for precision in PRECISIONS)
    assert list(half[0]) == ["epoch", "loss", "ce", "kd", "lsp", "gsp", "gcrd"]
    assert half[0] == pytest.approx(full[0], rel=2**-6)  # bfloat16 has eight bits: values differ by 2^-9 each
    assert full[-1]["loss"] < 0.7 * full[0]["loss"]
    assert half[-1]["loss"] == pytest.approx(full[-1]["loss"], rel=0.05)


def test_gradients_under_autocast_point_where_those_in_float32_do():
    data, found = graph(), []
    for enabled in (False, True):
        distiller = task(GraphSAGE, Frozen(model(GraphSAGE, WIDTHS[1], 0)))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            distiller(data).loss.backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in distiller.parameters()]))
    assert found[1].dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


def test_a_cached_view_is_that_of_the_teacher_itself_whoever_asks_first(tmp_path):
    data, teacher = graph(), model(GraphSAGE, 16, 0)
    want = Frozen(teacher)(data)["logits"]
    for options in ({}, {"path": tmp_path / "store"}):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert Frozen(teacher)(data)["logits"].dtype == torch.bfloat16
            assert torch.equal(Cached(teacher, data, **options)(data)["logits"], want)


def test_soft_targets_of_half_precision_logits_are_compared_in_float32():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (10 * torch.randn(50, 7, generator=generator) for _ in range(2))
    student, near = student.bfloat16(), student + 0.01 * teacher
    for other in (teacher, near):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = KL(4.0)(student, other)
        assert got == pytest.approx(float(KL(4.0)(student.double(), other.double())), rel=1e-3)
        assert got >= 0
