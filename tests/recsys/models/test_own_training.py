"""A model that learns by its own loss here loses what it loses in RecBole's trainer, batch by batch."""

from __future__ import annotations

import copy
import functools
import random
import sys
import warnings

import numpy as np
import pytest
import torch

from graphkd import Distiller, fit
from recsys import bridge
from recsys._repairs import repaired
from recsys.losses import RecBoleLoss
from recsys.models import show
from recsys.models.ncl import clusters
from recsys.models.own_loss import reads_users
from tests.recsys.evaluate.recbole_logs import load, loaders_of, write

pytestmark = [pytest.mark.usefixtures("recbole"), pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.slow]
SEED, EPOCHS, RATE = 5, 3, 5e-3
OPTIONS = {
    "SGL": {"embedding_size": 8, "type": "ED"},
    "NCL": {"embedding_size": 8, "num_clusters": 4},
    "SimpleX": {"embedding_size": 8},
    "MultiVAE": {"mlp_hidden_size": [16], "latent_dimension": 8},
    "ENMF": {"embedding_size": 8},
    "NeuMF": {"mlp_hidden_size": [8], "mf_embedding_size": 8, "mlp_embedding_size": 8},
    "LightGCN": {"embedding_size": 8},
    "NGCF": {"embedding_size": 8, "hidden_size_list": [8]},
    "DMF": {},
}


class Theirs:
    """Batches of RecBole's loader as ours."""

    def __init__(self, loader, model, negatives):
        self.loader, self.model, self.negatives = loader, model, negatives

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        self.model.train()  # where RecBole's trainer has it, so that SGL draws its graphs before the first negatives
        for rows in self.loader:
            users = rows[self.model.USER_ID]
            if reads_users(self.model):
                yield {"users": users}
                continue
            if self.model.NEG_ITEM_ID in rows:
                batch = {"users": users, "positives": rows["item_id"], "negatives": rows[self.model.NEG_ITEM_ID]}
            else:  # rows with labels, of each pair one and one of each negative
                pairs = len(users) // (1 + self.negatives)
                positives = rows["item_id"][:pairs].repeat(self.negatives)
                batch = {"users": users[pairs:], "positives": positives, "negatives": rows["item_id"][pairs:]}
            yield batch | ({"copies": self.negatives} if self.negatives > 1 else {})


@pytest.fixture(scope="module")
def data_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    write(folder, "plain")

    def data(name, negatives):
        options = {"train_neg_sample_args": {"sample_num": negatives}, "train_batch_size": 64, "learning_rate": RATE}
        made = load(folder, "RS", "full", ["NDCG"], **options)
        return bridge.load("log", name, options={**made.options, "epochs": EPOCHS, **OPTIONS[name]})

    return data


def seeded_alike():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(SEED)


def theirs(data, model):
    """Losses of RecBole's own trainer, summed over an epoch."""
    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from recbole.utils import get_trainer

        trainer = get_trainer(data.config["MODEL_TYPE"], data.config["model"])(data.config, model)
        loader = loaders_of(data)["train"]
        seeded_alike()
        trainer.fit(loader, saved=False, verbose=False)
    return list(trainer.train_loss_dict.values())


def ours(data, model, negatives):
    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader, heard = loaders_of(data)["train"], []
    batches = Theirs(loader, model.model, negatives)
    adam = functools.partial(torch.optim.Adam, lr=RATE)
    fit(
        Distiller(model, None, RecBoleLoss(), call=show),
        batches,
        epochs=EPOCHS,
        optimizer=adam,
        seed=SEED,
        log=heard.append,
        progress=False,
    )
    return [report["loss"] * len(loader) for report in heard]


@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_three_epochs(data_of, name, negatives, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # RecBole's trainer makes folders where it stands
    monkeypatch.setattr(sys, "argv", ["test"])
    data = data_of(name, negatives)
    torch.manual_seed(0)
    model = bridge.recommender(data, name)
    other, start = copy.deepcopy(model.model), [weight.detach().clone() for weight in model.model.parameters()]
    if name == "NCL":  # FAISS's k-means, which starts elsewhere and wants a GPU, in the place of ours
        monkeypatch.setattr(other, "run_kmeans", lambda rows: clusters(torch.as_tensor(rows), other.k))
    wanted = theirs(data, other)
    found = ours(data, model, negatives)
    assert len(found) == len(wanted) == EPOCHS
    for one, value in zip(found, wanted, strict=True):
        assert one == pytest.approx(value, rel=1e-5)
    assert not all(torch.equal(one, before) for one, before in zip(model.model.parameters(), start, strict=True))
    for one, weight in zip(model.model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, weight, rtol=1e-3, atol=1e-5)
