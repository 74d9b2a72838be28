"""Holistic distillation: its four contrasts one node and one negative at a time, its graphs and its memories."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from graphkd.losses import HKD, bank_contrast, prediction_graph
from graphkd.losses.graphs.hkd import neighbourhood
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import EDGE_INDEX, EDGES, NODES, STUDENT, WIDE_TEACHER, approx, assert_value, dot, unit
from tests.losses.negatives import check_counts_are_ids
from tests.losses.scene import OTHER_WIDTH

HELD, TAU = 8, 0.3
IDS = torch.tensor([2, 7, 1, 4, 0])
NEGATIVES = torch.tensor([[6, 3, 6], [2, 1, 4], [0, 4, 5], [7, 6, 3], [1, 2, 3]])
LOGITS = [normal(5, 4, dtype=torch.float64, seed=seed) for seed in (1, 2)]
ENTRIES = (STUDENT, LOGITS[0]), (WIDE_TEACHER, LOGITS[1])
FACTS = {"n_id": IDS, "negatives": NEGATIVES}


def contrast(anchors, positives, bank):
    total = 0.0
    for anchor, positive, others in zip(anchors, positives, NEGATIVES, strict=True):
        a = math.exp(dot(anchor, positive) / TAU)
        total -= math.log(a / (a + sum(math.exp(dot(anchor, bank[k]) / TAU) for k in others)))
    return total / len(anchors)


def affine(layer, row):
    return [dot(w, row) + float(b) for w, b in zip(layer.weight.detach(), layer.bias.detach(), strict=True)]


def similar(logits, count):
    """The rows with the largest cosines of probabilities, itself always among them."""
    rows = []
    for row in logits:
        exps = [math.exp(float(value)) for value in row]
        rows.append(unit([value / sum(exps) for value in exps]))
    order = [sorted(NODES, key=lambda j: (j != i, -dot(rows[i], rows[j]))) for i in NODES]
    return [sorted(chosen[:count]) for chosen in order]


def mixed(one, other, share):
    return unit([share * float(a) + (1 - share) * float(b) for a, b in zip(one, other, strict=True)])


def made(**options):
    torch.manual_seed(0)
    return HKD(HELD, 3, 5, 4, negatives=3, temperature=TAU, **{"neighbours": 3} | options).double()


def expected(loss, averages, share=0.75):
    """The loss by loops, and the embeddings; ``averages``: of one side's embeddings."""
    memories = [memory.clone() for memory in (loss.student_memory, loss.teacher_memory)]
    banks = memories if loss.negatives_of == "self" else memories[::-1]
    embedded = [[unit(affine(head, row)) for row in entry[0]] for head, entry in zip(loss.heads, ENTRIES, strict=True)]
    graphs = [
        [unit(affine(head, [*row, *mean])) for row, mean in zip(rows, averages(side, rows), strict=True)]
        for side, (head, rows) in enumerate(zip(loss.graph_heads, embedded, strict=True))
    ]
    held = [[memory[k] for k in IDS] for memory in memories]
    smooth = [[mixed(m, g, share) for m, g in zip(held[side], graphs[side], strict=True)] for side in (0, 1)]
    value = sum(contrast(embedded[side], held[1 - side], banks[side]) for side in (0, 1))
    # a side's target is the memory and the graph embedding of the other
    value += sum(contrast(graphs[side], smooth[1 - side], banks[side]) for side in (0, 1))
    return value, embedded, memories


def predicted(side, rows):
    chosen = similar(LOGITS[side], 3)
    return [[sum(rows[j][k] for j in some) / 3 for k in range(len(rows[0]))] for some in chosen]


def given(side, rows):
    degree = [sum(target == i for _, target in EDGES) for i in NODES]
    found = []
    for i in NODES:
        entering = [(source, (max(degree[source], 1) * max(degree[i], 1)) ** -0.5) for source, t in EDGES if t == i]
        found.append([sum(rows[j][k] * scale for j, scale in entering) for k in range(len(rows[0]))])
    return found


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize("negatives_of", ["self", "other"])
def test_four_contrasts_and_the_memories(negatives_of):
    loss = made(negatives_of=negatives_of)
    value, embedded, memories = expected(loss, predicted)
    assert_value(loss(*ENTRIES, **FACTS), value)
    for rows, old, new in zip(embedded, memories, (loss.student_memory, loss.teacher_memory), strict=True):
        for k in range(HELD):
            place = IDS.tolist().index(k) if k in IDS else None
            want = old[k] if place is None else approx(mixed(old[k], rows[place], 0.9))
            torch.testing.assert_close(new[k], want)


def test_on_the_given_graph():
    loss = made(neighbours=None).eval()
    value, _, _ = expected(loss, given)
    assert_value(loss(*ENTRIES, **FACTS, edge_index=EDGE_INDEX), value)
    with pytest.raises(ValueError, match=r"HKD\(neighbours=None\) needs 'edge_index' from the batch, got None"):
        loss(*ENTRIES, **FACTS)


def test_a_digest_is_the_teacher():
    loss = made().eval()
    assert torch.equal(loss(ENTRIES[0], loss.digest(ENTRIES[1]), **FACTS), loss(*ENTRIES, **FACTS))


def test_bank_contrast():
    bank = normal(HELD, 3, dtype=torch.float64, seed=3)
    want = contrast(STUDENT, STUDENT.flip(0), bank)
    assert_value(bank_contrast(STUDENT, STUDENT.flip(0), bank, NEGATIVES, TAU), want)


def test_graph_of_predictions():
    edges = prediction_graph(LOGITS[0].clone().requires_grad_(), 3)
    assert edges[0].view(5, 3).tolist() == similar(LOGITS[0].detach(), 3)
    assert edges[1].tolist() == [i for i in NODES for _ in range(3)]


def test_neighbourhood_of_equal_degrees_is_the_mean():
    edges = prediction_graph(LOGITS[0], 2)
    x = normal(5, 3, dtype=torch.float64, seed=4)
    torch.testing.assert_close(neighbourhood(x, edges), x[edges[0]].view(5, 2, 3).mean(dim=1))


# ---------------------------------------------------------------- small batches, gradients
def test_a_batch_smaller_than_its_neighbourhoods():
    """The nodes' own terms alone, and memories as they were."""
    loss = made(neighbours=8)
    memories = [loss.student_memory.clone(), loss.teacher_memory.clone()]
    rows = [[unit(affine(head, row)) for row in entry[0]] for head, entry in zip(loss.heads, ENTRIES, strict=True)]
    held = [[memory[k] for k in IDS] for memory in memories]
    value = loss(ENTRIES[0], loss.digest(ENTRIES[1]), **FACTS)
    assert_value(value, sum(contrast(rows[side], held[1 - side], memories[side]) for side in (0, 1)))
    assert torch.equal(loss.student_memory, memories[0])
    assert torch.equal(loss.teacher_memory, memories[1])


def test_what_trains():
    """Features and all four maps; logits, which only choose neighbours, and targets do not."""
    loss = made()
    student = tuple(entry.clone().requires_grad_() for entry in ENTRIES[0])
    loss(student, ENTRIES[1], **FACTS).backward()
    assert student[0].grad.any()
    assert student[1].grad is None
    assert all(parameter.grad.any() for parameter in loss.parameters())


def test_targets_are_constant():
    """The neighbourhood of the other side is a target, and has no gradient as one."""
    loss = made().eval()
    banks = loss.student_memory, loss.teacher_memory
    student = STUDENT.clone().requires_grad_()
    e = [F.normalize(head(x), dim=1) for head, x in zip(loss.heads, (student, WIDE_TEACHER), strict=True)]
    means = [rows[torch.tensor(similar(logits, 3))].mean(dim=1) for rows, logits in zip(e, LOGITS, strict=True)]
    g = [
        F.normalize(head(torch.cat(pair, dim=1)), dim=1) for head, *pair in zip(loss.graph_heads, e, means, strict=True)
    ]
    targets = [F.normalize(0.75 * bank[IDS] + 0.25 * rows, dim=1).detach() for bank, rows in zip(banks, g, strict=True)]
    want = 0.0
    for side in (0, 1):
        want = want + bank_contrast(e[side], banks[1 - side][IDS], banks[side], NEGATIVES, TAU)
        want = want + bank_contrast(g[side], targets[1 - side], banks[side], NEGATIVES, TAU)
    got = loss((student, LOGITS[0]), ENTRIES[1], **FACTS)
    torch.testing.assert_close(*(torch.autograd.grad(value, student)[0] for value in (got, want)))


def test_gradients_survive_the_memory_s_update():
    loss, still = made(momentum=0.0), made(momentum=0.0).eval()
    gradients = []
    for one in (loss, still):
        student = STUDENT.clone().requires_grad_()
        one((student, LOGITS[0]), ENTRIES[1], **FACTS).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients)
    assert not torch.equal(loss.student_memory, still.student_memory)


def test_a_checkpoint_keeps_the_memories():
    loss, twin = made(), HKD(HELD, 3, 5, 4, negatives=3).double()
    loss(*ENTRIES, **FACTS)
    twin.load_state_dict(loss.state_dict())
    assert torch.equal(loss.student_memory, twin.student_memory)
    assert torch.equal(loss.teacher_memory, twin.teacher_memory)


# ---------------------------------------------------------------- negatives
@pytest.mark.parametrize("kept", [1 << 24, 16])
@pytest.mark.parametrize("options", [{}, {"negatives_of": "other"}, {"neighbours": 8}, {"labels": torch.arange(8) % 3}])
def test_drawn_negatives_are_given_ones(kept, options, monkeypatch):
    """By counts, in one part or several, what the same ids give: the value, gradients and memories."""
    torch.manual_seed(0)
    loss = HKD(HELD, 3, 5, 4, negatives=20, temperature=TAU, **{"neighbours": 3} | options).double()

    def run(one, negatives):
        return one(*ENTRIES, n_id=IDS, negatives=negatives)

    check_counts_are_ids(loss, IDS, run, monkeypatch, kept)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": torch.zeros(8, dtype=torch.int64)}, "negatives are nodes of other classes, got 1 class of 8 nodes"),
        ({"labels": torch.zeros(7, dtype=torch.int64)}, "'labels' must hold 8 integer labels"),
        ({"neighbours": 0}, "'neighbours' must be positive, got 0"),
        ({"negatives_of": "both"}, r"'negatives_of' must be one of \('self', 'other'\), got 'both'"),
        ({"neighbours": None, "where": "train_mask"}, r"HKD\(neighbours=None\) reads the edges of the whole graph"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        HKD(8, 3, 5, **options)


def test_rows_must_be_known():
    with pytest.raises(ValueError, match="'n_id' must say which of the 8 nodes the 5 rows are, got None"):
        made()(*ENTRIES)


# ---------------------------------------------------------------- behaviour
def remembering(neighbours=2, **options):
    """With memories that stay as they are, and targets that are theirs, so that the loss is a function."""
    return HKD(6, 3, 5, 4, neighbours=neighbours, negatives=3, temperature=0.5, smooth=1.0, **options).eval()


def facts(graph, width):
    """Ids and negatives of every node."""
    ids = torch.arange(graph.num_nodes)
    return {"n_id": ids, "negatives": (ids[:, None] + torch.tensor([1, 2, 4])) % 6}


class TestHKD(Behaviour):
    cases: ClassVar = {
        "HKD": Case(remembering, (3, 5), facts=facts, refused_width=OTHER_WIDTH),
        "HKD_given_graph": Case(
            partial(remembering, neighbours=None, negatives_of="other"),
            (3, 5),
            facts=facts,
            masked=False,
            refused_width=OTHER_WIDTH,
        ),
    }
