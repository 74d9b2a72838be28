"""IR-RRD: its item side is RRD with users in the lists."""

from __future__ import annotations

import torch

from recsys.losses import ItemRRD
from recsys.losses.rrd import rrd
from recsys.models import Lists, RecommenderView, Tables
from tests.recsys.losses.examples import scores


def test_the_item_side_scores_users() -> None:
    user, item = scores(6, 2), scores(7, 2)
    items = torch.tensor([1, 4])
    liking, indifferent = torch.tensor([[0, 3], [5, 1]]), torch.tensor([[2], [4]])
    batch = {"interesting_users": Lists(liking, items), "uninteresting_users": Lists(indifferent, items)}
    got = ItemRRD().measure(RecommenderView(Tables(user, item), batch), None, batch)
    all_scores = item @ user.t()
    torch.testing.assert_close(got, rrd(all_scores[items].gather(1, liking), all_scores[items].gather(1, indifferent)))
