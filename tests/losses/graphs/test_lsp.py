"""LSP: the formulas, one node and one edge at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.kernels import edge_layout
from graphkd.losses import LSP, local_structure, lsp
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import EDGE_INDEX, EDGES, NODES, STUDENT, TEACHER, WIDE_TEACHER, assert_value, dot, unit

SIGMA, DEGREE, OFFSET = 3.0, 2, 0.5

KERNELS = {
    "cosine": lambda x, y: dot(unit(x), unit(y)),
    "dot": dot,
    "poly": lambda x, y: (dot(x, y) + OFFSET) ** DEGREE,
    "squared_euclidean": lambda x, y: math.dist(x, y) ** 2,
    "euclidean": math.dist,
    "rbf": lambda x, y: math.exp(-(math.dist(x, y) ** 2) / (2 * SIGMA)),
    "l1": lambda x, y: sum(abs(float(a) - float(b)) for a, b in zip(x, y, strict=True)),
    "laplacian": lambda x, y: math.exp(-sum(abs(float(a) - float(b)) for a, b in zip(x, y, strict=True)) / SIGMA),
}

KNOBS = {"sigma": SIGMA, "degree": DEGREE, "offset": OFFSET}


def distributions(features, similarity):
    """For every edge its share of exp(u) among the edges with the same target; duplicates count twice."""
    exps = [math.exp(similarity(features[target], features[source])) for source, target in EDGES]
    totals = [sum(e for e, (_, target) in zip(exps, EDGES, strict=True) if target == node) for node in NODES]
    return [e / totals[target] for e, (_, target) in zip(exps, EDGES, strict=True)]


def divergence(student, teacher, kind):
    """Summed over all edges of all nodes."""
    pairs = list(zip(student, teacher, strict=True))
    if kind == "mse":
        return sum((s - t) ** 2 for s, t in pairs)
    if kind == "student_teacher":
        return sum(s * math.log(s / t) for s, t in pairs)
    return sum(t * math.log(t / s) for s, t in pairs)


def local(similarity, kind, reduction, teacher=WIDE_TEACHER):
    structures = (distributions(features, similarity) for features in (STUDENT, teacher))
    return divergence(*structures, kind) / (5 if reduction == "nodes" else len(EDGES))


@pytest.mark.parametrize("kind", ["student_teacher", "teacher_student", "mse"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_lsp(kernel, kind):
    for reduction in ("nodes", "edges"):
        want = local(KERNELS[kernel], kind, reduction)
        loss = LSP(kernel, **KNOBS, divergence=kind, reduction=reduction)
        assert_value(loss(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), want)
        assert_value(
            lsp(STUDENT, WIDE_TEACHER, EDGE_INDEX, kernel, divergence=kind, reduction=reduction, **KNOBS), want
        )


@pytest.mark.parametrize("kernel", ["dot", "poly", "euclidean", "laplacian"])
def test_lsp_of_normalised_rows(kernel):
    want = local(lambda x, y: KERNELS[kernel](unit(x), unit(y)), "student_teacher", "nodes")
    assert_value(LSP(kernel, **KNOBS, normalise=True)(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), want)


def test_lsp_by_default_is_the_paper():
    """RBF exp(-|x - y|^2 / 200), KL(student || teacher), the mean over nodes."""
    want = local(lambda x, y: math.exp(-(math.dist(x, y) ** 2) / 200), "student_teacher", "nodes")
    assert_value(LSP()(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), want)


def test_lsp_of_distillgcn():
    """exp(-|x - y|_1 / 100), KL(teacher || student), the mean over all nodes."""
    want = local(lambda x, y: math.exp(-KERNELS["l1"](x, y) / 100), "teacher_student", "nodes")
    assert_value(LSP.distillgcn()(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), want)
    want = local(KERNELS["laplacian"], "teacher_student", "nodes")
    assert_value(LSP.distillgcn(SIGMA)(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), want)


@pytest.mark.parametrize("kind", ["teacher_student", "mse"])
@pytest.mark.parametrize(
    ("kernel", "similarity"),
    [
        ("cosine", KERNELS["cosine"]),
        ("poly", lambda x, y: KERNELS["cosine"](x, y) ** 2),
        ("euclidean", math.dist),
        ("rbf", lambda x, y: math.exp(-0.5 * math.dist(x, y) ** 2)),
    ],
)
def test_lsp_of_efficient_gnns(kernel, similarity, kind):
    loss = LSP.efficient_gnns(kernel, divergence=kind)
    assert_value(loss(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX), local(similarity, kind, "edges"))


def test_a_structure_is_as_good_as_features():
    structure = local_structure(WIDE_TEACHER, EDGE_INDEX, "dot")
    want = distributions(WIDE_TEACHER, dot)
    torch.testing.assert_close(structure.probabilities(), torch.tensor(want, dtype=torch.float64), rtol=1e-12, atol=0)
    loss = LSP("dot")
    features, stored = (loss(STUDENT, teacher, edge_index=EDGE_INDEX) for teacher in (WIDE_TEACHER, structure))
    assert torch.equal(features, stored)


def test_a_layout_stands_for_the_edges():
    got = lsp(STUDENT, TEACHER, edge_layout(EDGE_INDEX, 5), "cosine")
    assert torch.equal(got, lsp(STUDENT, TEACHER, EDGE_INDEX, "cosine"))


def test_nodes_without_edges_count_nothing_in_the_sum_and_one_in_the_mean():
    more = [torch.cat([x, torch.ones(3, x.size(1), dtype=torch.float64)]) for x in (STUDENT, WIDE_TEACHER)]
    loss = LSP("dot")
    got, want = loss(*more, edge_index=EDGE_INDEX), loss(STUDENT, WIDE_TEACHER, edge_index=EDGE_INDEX)
    torch.testing.assert_close(8 * got, 5 * want)


def test_wrong_knobs_of_lsp():
    with pytest.raises(ValueError, match=r"'divergence' must be one of .*, got 'kl'"):
        LSP(divergence="kl")(STUDENT, TEACHER, edge_index=EDGE_INDEX)
    with pytest.raises(ValueError, match=r"'reduction' must be one of \('nodes', 'edges'\), got 'mean'"):
        LSP(reduction="mean")(STUDENT, TEACHER, edge_index=EDGE_INDEX)
    with pytest.raises(ValueError, match=r"'kernel' must be one of .*, got 'l2'"):
        LSP("l2")(STUDENT, TEACHER, edge_index=EDGE_INDEX)


def test_lsp_of_some_rows_is_refused():
    """Edges reach across any choice of nodes."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'where'"):
        LSP(where="train_mask")


def test_structure_of_another_graph():
    structure = local_structure(TEACHER[:4], torch.tensor([[0], [1]]))
    with pytest.raises(ValueError, match=r"'teacher' must be about 5 nodes, got a structure of 4"):
        lsp(STUDENT, structure, EDGE_INDEX)


def neighbours(student, teacher, batch):
    """How far the likeness of neighbours, taken among those of one node, is apart."""
    source, target = batch["edge_index"]
    shares = []
    for x in (student, teacher):
        likeness = torch.cosine_similarity(x[source], x[target], dim=1).exp()
        total = torch.zeros(len(x), dtype=x.dtype).index_add(0, target, likeness)
        shares.append(likeness / total[target])
    return (shares[0] - shares[1]).abs().sum()


edges_only = partial(Case, widths=(3, 5), masked=False)


class TestLSP(Behaviour):
    cases: ClassVar = {
        "LSP": Case(LSP, at_teacher="zero", masked=False),
        **{
            f"LSP_{kernel}": edges_only(partial(LSP, kernel, sigma=3.0, divergence="teacher_student"))
            for kernel in ("dot", "squared_euclidean", "l1")
        },
        "LSP_poly_mse": edges_only(partial(LSP, "poly", offset=1.0, normalise=True, divergence="mse")),
        "LSP_distillgcn": Case(LSP.distillgcn, at_teacher="zero", masked=False),
        "LSP_efficient_gnns": edges_only(LSP.efficient_gnns, distance=neighbours),
        "LSP_efficient_gnns_euclidean": edges_only(partial(LSP.efficient_gnns, "euclidean")),
    }
