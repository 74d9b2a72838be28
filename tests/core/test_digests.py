from __future__ import annotations

import copy
import pickle

import torch

from graphkd.core.digests import Digests, is_kept
from graphkd.losses import KL


def test_a_digest_is_kept_for_a_view_and_facts_and_for_each_loss():
    kept, view, made = Digests(), {"logits": torch.randn(5, 3)}, []
    batch = {"mask": torch.tensor([True, False, True, False, True])}
    one, other = KL(where="mask"), KL(where="mask")

    def ask(loss, view, batch):
        before = len(made)
        kept(loss, view, batch, lambda: made.append(1))
        return len(made) > before

    assert [ask(one, view, batch), ask(one, view, batch), ask(other, view, batch), ask(one, view, batch)] == [
        True,
        False,
        True,
        False,
    ]
    assert not ask(one, view, {"mask": batch["mask"].clone()})
    assert ask(one, {"logits": view["logits"].clone()}, batch)
    batch["mask"].logical_not_()
    assert ask(one, view, batch)
    kept.clear()
    assert ask(one, view, batch)
    for copied in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert copied(one, view, batch, lambda: 7) == 7


def test_what_a_loss_reads_is_kept_or_not():
    kept, loss = torch.randn(5, 3), KL()
    assert is_kept(loss, {"logits": kept}, [torch.ones(1), kept])
    assert not is_kept(loss, {"logits": kept.clone()}, [kept])
    assert not is_kept(loss, {"hidden": kept}, [kept])
