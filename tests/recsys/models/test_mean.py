"""Several models as one."""

from __future__ import annotations

import pytest
import torch

from graphkd import Ensemble, Frozen
from graphkd.core.ensemble import stacked
from recsys.models import MF, Recommender, show
from recsys.models.mean import MeanScores, MeanView, recommender_of
from tests.recsys.toy_ratings import mf


class Scored(Recommender):
    """A model without tables."""

    has_tables = False

    def __init__(self, inner):
        super().__init__(inner.num_users, inner.num_items)
        self.inner = inner

    def score(self, users, items):
        return self.inner.score(users, items)


@pytest.mark.parametrize("weights", [None, torch.tensor([3.0, 1.0])])
@pytest.mark.parametrize("wrap", [lambda model: model, Scored])
def test_scores_are_means(weights, wrap):
    torch.manual_seed(0)
    models = [MF(5, 7, width, std=1.0) for width in (2, 3)]
    mean = MeanScores([wrap(model) for model in models], weights)
    users, items = torch.arange(5)[:, None], torch.arange(7)[None]
    shares = [0.5, 0.5] if weights is None else [0.75, 0.25]
    want = sum(share * model.score(users, items) for share, model in zip(shares, models, strict=True))
    torch.testing.assert_close(mean.score(users, items), want)
    torch.testing.assert_close(mean.score_items(torch.arange(5)), want)


def test_a_teacher_of_any_kind_is_one_recommender():
    one, other = MF(5, 7, 2), MF(5, 7, 2)
    frozen = [Frozen(model, call=show) for model in (one, other)]
    assert recommender_of(one) is recommender_of(frozen[0]) is one
    assert list(recommender_of(Ensemble(frozen)).models) == [one, other]
    assert recommender_of(Ensemble(frozen, weights=[1, 3])).weights.tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="an Ensemble of recommenders must be their mean"):
        recommender_of(Ensemble(frozen, stacked))
    with pytest.raises(TypeError, match=r"'teacher' must be a recsys.models.Recommender, got Linear"):
        recommender_of(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="'models' must score the same users and items"):
        MeanScores([one, MF(5, 8, 2)])


def test_what_several_show_is_averaged():
    models, batch = [mf(0), mf(1)], {"users": torch.arange(3), "items": torch.arange(3)}
    view = MeanView(models)(batch)
    assert view.keys() == models[0](batch).keys()
    torch.testing.assert_close(view["output"], (models[0](batch)["output"] + models[1](batch)["output"]) / 2)
