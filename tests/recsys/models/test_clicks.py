"""Click nets: what they show, what they share."""

from __future__ import annotations

import pytest
import torch

from recsys.models.clicks import ClickNet, FieldEmbedding, RocketNet, Several
from tests.recsys.click_rows import FIELDS, net, toy


class TestNets:
    def test_embeddings_are_looked_up_and_sequences_averaged_without_padding(self):
        embedding = FieldEmbedding(FIELDS, 2, std=1.0)
        batch = {"user": torch.tensor([4]), "item": torch.tensor([0]), "tags": torch.tensor([[5, 0, 2]])}
        table = embedding.table.weight
        want = torch.cat([table[4], table[20], (table[35 + 5] + table[35 + 2]) / 2])
        torch.testing.assert_close(embedding(batch), want[None])
        nothing = embedding({**batch, "tags": torch.zeros(1, 3, dtype=torch.long)})
        assert not nothing[0, 4:].any()

    def test_what_a_net_shows(self):
        view = net()(toy().take(torch.arange(7)))
        assert view["logits"].shape == (7,)
        assert view["hidden"].shape == (7, 8)
        with pytest.raises(ValueError, match="'hidden' must name the width of one layer at least"):
            ClickNet(FIELDS, 2, [])
        with pytest.raises(ValueError, match="'models' must hold one model at least"):
            Several([])

    def test_rocket_shares_modules(self):
        light, booster = net(0), net(1, hidden=(16, 8))
        pair = RocketNet(light, booster)
        assert booster.embedding is light.embedding
        assert len({id(p) for p in pair.parameters()}) == len(list(pair.parameters())) == 1 + 2 + 2 + 4 + 2
        with pytest.raises(ValueError, match="the booster's 'embedding' must have the shapes of the light net's"):
            RocketNet(net(), net(width=4))
