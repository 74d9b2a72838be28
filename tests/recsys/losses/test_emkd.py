"""EMKD against its formula as loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.losses.emkd import copy_contrast, emkd, mutual_kl

N, M, B, L, C, A = 3, 2, 4, 3, 6, 5


def example() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    return {
        "anchors": draw(N, B, L, 2),
        "positives": draw(N, M, B, L, 2),
        "logits": draw(N, M, B, L, C),
        "labels": torch.randint(C, (M, B, L), generator=generator),
        "attribute_logits": draw(N, B, L, A),
        "attributes": torch.randint(2, (B, L, A), generator=generator),
    }


def cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.flatten(), b.flatten()
    return (a @ b / (a.norm() * b.norm())).item()


def contrasts(facts: dict[str, Any], n: int, u: int, tau: float) -> float:
    total = 0.0
    for r in range(B):
        anchor = facts["anchors"][n, r]
        apart = sum(math.exp(cosine(anchor, facts["anchors"][u, s]) / tau) for s in range(B) if s != r)
        near = sum(math.exp(cosine(anchor, facts["positives"][u, m, r]) / tau) for m in range(M))
        total += math.log(1 + apart) - math.log(near)
    return total / B


def masked(facts: dict[str, Any], copy: int) -> list[tuple[int, int]]:
    return [(b, t) for b in range(B) for t in range(L) if facts["labels"][copy, b, t] != 0]


def attributes(facts: dict[str, Any]) -> float:
    attribute, places = 0.0, masked(facts, M - 1)
    for n in range(N):
        for place in places:
            for a in range(A):
                x, y = facts["attribute_logits"][(n, *place)][a].item(), facts["attributes"][place][a].item()
                attribute += (math.log1p(math.exp(-x)) + (1 - y) * x) / len(places) / A
    return attribute


def test_it_is_its_formula() -> None:
    facts, tau = example(), 0.6
    icl = sum(contrasts(facts, n, n, tau) for n in range(N))
    ccl = sum(contrasts(facts, n, u, tau) for n in range(N) for u in range(N) if n != u)
    items = kl = 0.0
    for m in range(M):
        places = masked(facts, m)
        for n in range(N):
            logs = {place: facts["logits"][(n, m, *place)].log_softmax(0) for place in places}
            items -= sum(logs[place][facts["labels"][(m, *place)]].item() for place in places) / len(places)
            for other in range(n):
                for place in places:
                    p, q = ((facts["logits"][(k, m, *place)] / tau).softmax(0) for k in (n, other))
                    both = (p * (p / q).log()).sum() + (q * (q / p).log()).sum()
                    kl += both.item() / 2 / len(places)
    attribute = attributes(facts)
    found = emkd(**facts, tau=tau, contrast=0.3, mutual=0.2)
    for name, want in {"icl": icl, "ccl": ccl, "kl": kl, "masked_item": items, "attribute": attribute}.items():
        assert getattr(found, name).item() == pytest.approx(want), name
    assert found.loss.item() == pytest.approx(items + 0.2 * kl + attribute + 0.3 * (icl + ccl))


def test_networks_that_agree_have_nothing_to_teach() -> None:
    facts = example()
    alike = facts["logits"][:1].expand(N, -1, -1, -1, -1)
    chosen = facts["labels"] != 0
    assert mutual_kl(alike, chosen).item() == pytest.approx(0, abs=1e-12)
    assert mutual_kl(facts["logits"], chosen) > 0.1
    off = [emkd(**facts | {"logits": each}, mutual=0.0) for each in (facts["logits"], facts["logits"].flip(0))]
    assert off[0].loss.item() == pytest.approx(off[1].loss.item())


def test_each_side_of_the_mutual_part_is_a_constant_for_the_other() -> None:
    """With its target held, KL has the gradient (softmax(x) - softmax(y)) / tau at the one masked position."""
    logits = torch.randn(
        2, 1, 1, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    mutual_kl(logits, torch.ones(1, 1, 1, dtype=torch.bool), 0.5).backward()
    p, q = (logits.detach() / 0.5).softmax(dim=-1)
    torch.testing.assert_close(logits.grad[0], (p - q) / 2 / 0.5)
    torch.testing.assert_close(logits.grad[1], (q - p) / 2 / 0.5)


def test_a_near_copy_contrasts_less_than_a_far_one() -> None:
    a = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    assert copy_contrast(a, a, a[None]) < copy_contrast(a, a, -a[None])


def test_nothing_masked_is_nothing() -> None:
    facts = example()
    found = emkd(**facts | {"labels": facts["labels"] * 0})
    assert found.masked_item == found.kl == found.attribute == 0
    assert found.loss.isfinite()


def test_errors() -> None:
    facts = example()
    with pytest.raises(ValueError, match=r"'labels' must begin with the sizes \(2, 4, 3\), got \(1, 4, 3\)"):
        emkd(**facts | {"labels": facts["labels"][:1]})
    with pytest.raises(ValueError, match=r"'anchors' must be \(N, B, L, H\)"):
        emkd(**facts | {"anchors": facts["anchors"][0]})
    with pytest.raises(ValueError, match="'tau' must be positive, got 0"):
        emkd(**facts, tau=0)
