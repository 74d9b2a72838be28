"""What the tests of rankings share: pairs, a model of given scores, a data set of RecBole's and its own evaluation."""

import warnings

import torch

from recsys import Interactions, bridge
from recsys._repairs import repaired
from recsys.models import Recommender, Tables

SHOWN = {
    "SGL": {"embedding_size": 8},
    "NGCF": {"embedding_size": 8, "hidden_size_list": [8]},
    "NCL": {"embedding_size": 8},
    "GCMC": {"gcn_output_dim": 10, "embedding_size": 8},
    "SpectralCF": {"embedding_size": 8},
    "DMF": {},
}
NAMES = [f"{kind}@{k}" for kind in ("recall", "ndcg", "hit", "mrr", "precision", "map") for k in (1, 5, 10)]


def pairs(users, items, num_users=3, num_items=4, padding=False):
    return Interactions.from_pairs(torch.tensor(users), torch.tensor(items), num_users, num_items, padding=padding)


def by_recbole(data, model, phase):
    """What RecBole's own loaders, trainer and evaluator make of a model, on the parts that were split."""
    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from recbole.data.dataloader import FullSortEvalDataLoader
        from recbole.data.utils import create_samplers
        from recbole.trainer import Trainer

        config = data.config
        for key, value in {"metrics": ["Recall", "NDCG", "Hit", "MRR", "Precision", "MAP"], "topk": [1, 5, 10]}.items():
            config[key] = value
        config["metric_decimal_place"] = 12
        part = {"train": 0, "valid": 1, "test": 2}[phase]
        sampler = create_samplers(config, data.dataset, list(data.parts))[part]
        loader = FullSortEvalDataLoader(config, data.parts[part], sampler)
        model.model.eval()
        return Trainer(config, model.model).evaluate(loader, load_best_model=False)


def spoiled(value, where):
    """Scores of 3 users and 20 items of which some are no numbers."""
    user, item = torch.randn(3, 4), torch.randn(20, 4)
    {"item": item, "user": user}[where[0]][where[1]] = value
    return Tables(user, item)


class Given(Recommender):
    """A model that gives these scores of all items."""

    has_tables = False

    def __init__(self, scores):
        super().__init__(*scores.shape)
        self.register_buffer("scores", scores)

    def score(self, users, items):
        return self.scores[torch.broadcast_tensors(users, items)]

    def score_items(self, users):
        return self.scores[users]


def built(data, name):
    torch.manual_seed(0)
    return bridge.recommender(data, name, SHOWN.get(name))
