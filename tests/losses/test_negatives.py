"""Draws of negatives: when by ids and when by counts, in parts or whole, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from graphkd.losses import _negatives
from graphkd.losses._negatives import Counts, Drawn, NegativeDraws
from tests.losses.negatives import ids_of

LABELS = torch.tensor([3, 1, 3, 0, 1, 3, 0, 0])


def parts(drawn):
    return list(drawn._parts)


def test_counts_where_they_cost_less():
    """Up to 16 nodes for each negative."""
    ids = torch.tensor([3, 0])
    for samples, counted in ((2, True), (1, False)):
        (part,) = parts(NegativeDraws(samples, 32)(ids))
        assert isinstance(part, Counts) == counted
    (index,) = parts(NegativeDraws(1, 32, own_first=True)(ids))
    assert index.shape == (2, 2)
    assert torch.equal(index[:, 0], ids)


def test_given_ones_are_ids():
    ids, given = torch.tensor([3, 0]), torch.tensor([[1, 1, 2], [4, 5, 4]])
    (index,) = parts(NegativeDraws(20, 8)(ids, given))
    assert torch.equal(index, given)
    (index,) = parts(NegativeDraws(20, 8, own_first=True)(ids, given))
    assert torch.equal(index, torch.tensor([[3, 1, 1, 2], [0, 4, 5, 4]]))


@pytest.mark.parametrize("kept", [1 << 24, 16])
@pytest.mark.parametrize("labels", [None, LABELS])
def test_negatives_are_of_other_classes(kept, labels, monkeypatch):
    """Uniform over the nodes of other classes, without labels over all other nodes; in one part or several."""
    monkeypatch.setattr(_negatives, "_KEPT", kept)
    torch.manual_seed(0)
    draws = NegativeDraws(4000, 8, labels)
    for drawn in (ids_of(draws(torch.arange(8))), draws.index(torch.arange(8))):
        assert drawn.shape == (8, 4000)
        for node in range(8):
            counts = torch.bincount(drawn[node], minlength=8)
            fit = torch.arange(8) != node if labels is None else labels != labels[node]
            assert not counts[~fit].any()
            mean = 4000 / int(fit.sum())
            assert (counts[fit] - mean).abs().max() < 5 * mean**0.5


def test_parts_stay_the_same(monkeypatch):
    """Though they are drawn at every look, which leaves torch's random state alone; the next draw is another."""
    monkeypatch.setattr(_negatives, "_KEPT", 24)
    torch.manual_seed(0)
    draws, ids = NegativeDraws(50, 8), torch.arange(8)
    drawn = draws(ids)
    state = torch.get_rng_state()
    looks = [parts(drawn) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.own.tolist() for part in looks[0]] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    for one, other in zip(*looks, strict=True):
        assert torch.equal(one.often, other.often)
    assert not torch.equal(ids_of(drawn), ids_of(draws(ids)))
    torch.manual_seed(0)
    assert torch.equal(ids_of(drawn), ids_of(draws(ids)))


def test_means_over_parts():
    """Of what is a mean in each part, by its rows."""
    x = torch.arange(5.0, dtype=torch.float64).requires_grad_()
    counts = torch.tensor([3.0, 3.0, 3.0, 3.0, 8.0], dtype=torch.float64)
    several, whole = Drawn(counts[:, None].split(2), 2), Drawn((counts[:, None],), 5)

    def measure(part, rows):
        return (part[:, 0] * rows).mean()

    for drawn in (several, whole):
        value = drawn.mean(measure, x)
        torch.testing.assert_close(value, (counts * x).mean())
        torch.testing.assert_close(torch.autograd.grad(value, x)[0], counts / 5)
        torch.testing.assert_close(drawn.log_mean(lambda *both: measure(*both).log(), x), (counts * x).mean().log())


def test_compiles():
    """In one graph."""
    torch.compiler.reset()
    draws, ids = NegativeDraws(50, 8, LABELS), torch.arange(8)

    def share(part, rows):
        return (part.often * rows[:, None]).sum() / rows.numel()

    compiled = torch.compile(lambda x: draws(ids).mean(share, x), fullgraph=True, backend="aot_eager")
    for x in (torch.ones(8), torch.arange(8.0)):
        assert float(compiled(x)) == float(x.mean()) * 50


def test_no_rows():
    drawn = NegativeDraws(50, 8)(torch.arange(0))
    assert drawn.mean(lambda part, rows: rows.sum() + part.often.sum(), torch.zeros(0, 3)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8), "'negatives' must be positive, got 0"),
        ((5, 3, torch.tensor([2, 2, 2])), "negatives are nodes of other classes, got 1 class of 3 nodes"),
        ((5, 1), "negatives are nodes of other classes, got 1 class of 1 nodes"),
    ],
)
def test_wrong_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        NegativeDraws(*arguments)


def test_nothing_to_save():
    draws = NegativeDraws(5, 8, LABELS)
    assert not draws.state_dict()
    assert draws.double()._order.dtype == torch.int64
