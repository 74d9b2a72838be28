"""RecBole's models as ours: what they keep, what they count, and what they are asked for."""

from __future__ import annotations

import copy

import pytest
import torch

from graphkd import Distiller
from recsys import Interactions, bridge
from recsys.data.batches import RankingBatches
from recsys.data.negatives import Negatives
from recsys.losses import RecBoleLoss
from recsys.models import show
from recsys.models.own_loss import is_fitted, kind_of, own_loss, why_not

pytestmark = [pytest.mark.usefixtures("recbole"), pytest.mark.filterwarnings("ignore::UserWarning:recbole")]


@pytest.fixture(scope="module")
def data(tmp_path_factory, recbole):
    folder = tmp_path_factory.mktemp("data")
    (folder / "d").mkdir()
    rows = "".join(f"u{u}\ti{(u * 5 + k * k) % 40}\t{k % 5 + 1}\n" for u in range(30) for k in range(12))
    (folder / "d" / "d.inter").write_text("user_id:token\titem_id:token\trating:float\n" + rows)
    columns = {"inter": ["user_id", "item_id", "rating"]}
    return bridge.load("d", options={"data_path": str(folder), "load_col": columns})


def built(data, name, **options):
    torch.manual_seed(0)
    return bridge.recommender(data, name, options)


def batch_of(data, size=60):
    torch.manual_seed(1)
    return next(iter(RankingBatches(data.split.train, batch_size=size)))


@pytest.mark.parametrize("name", ["SGL", "DMF", "NGCF"])
def test_nothing_of_a_measurement_stays(data, name):
    model = built(data, name)
    model.score(torch.tensor([1]), torch.tensor([2]))
    model.score_items(torch.tensor([1]))
    kept = [key for key in vars(model.model) if key.startswith("restore_") or key == "i_embedding"]
    assert kept
    assert all(getattr(model.model, key) is None for key in kept)
    copy.deepcopy(model)  # which a graph of gradients would forbid


def test_lightgcn_has_recboles_loss_by_a_quicker_product(data):
    model, batch = built(data, "LightGCN", reg_weight=0.1), batch_of(data)
    from recbole.data.interaction import Interaction

    rows = {"user_id": batch["users"], "item_id": batch["positives"], "neg_item_id": batch["negatives"]}
    wanted = model.model.calculate_loss(Interaction(rows))
    torch.testing.assert_close(model.own_loss(batch), wanted.reshape(()))
    assert "forward" not in vars(model.model)


@pytest.mark.parametrize(("name", "times"), [("BPR", 60), ("NeuMF", 120), ("ENMF", 1), ("MultiDAE", None)])
def test_summed_over_the_rows(data, name, times):
    model, batch = built(data, name).eval(), batch_of(data)
    one, summed = model.own_loss(batch), model.own_loss(batch, summed=True)
    torch.testing.assert_close(summed, one * (times or len(batch["unique_users"])))


def test_parts_are_added(data):
    model, batch = built(data, "NCL", num_clusters=4), batch_of(data)
    parts = []
    whole = model.model.calculate_loss
    model.model.calculate_loss = lambda rows: parts.append(whole(rows)) or parts[-1]
    early, late = model.own_loss(batch), model.own_loss(batch, epoch=20)
    torch.testing.assert_close(early, (parts[0][0] + parts[0][1]).reshape(()))
    torch.testing.assert_close(late, sum(parts[1]).reshape(()))
    assert model.model.user_2cluster.max() < 4


def test_sgl_draws_its_graphs_once_an_epoch(data):
    """A model as it was built too, which nobody has put into training mode yet; and not twice after ``train()``."""
    model, batch = built(data, "SGL"), batch_of(data)
    inner = model.model
    model.own_loss(batch, epoch=0)
    first = inner.sub_graph1
    model.own_loss(batch, epoch=0)
    assert inner.sub_graph1 is first
    model.own_loss(batch, epoch=1)
    second = inner.sub_graph1
    assert second is not first
    model.eval().train()
    third = inner.sub_graph1
    assert third is not second
    model.own_loss(batch, epoch=2)
    assert inner.sub_graph1 is third


def test_users_that_come_once_keep_their_order(data):
    """On which dropout depends, as in RecBole."""
    model, users = built(data, "MultiDAE"), torch.tensor([5, 3, 9])
    torch.manual_seed(2)
    found = model.own_loss({"users": users})
    torch.manual_seed(2)
    from recbole.data.interaction import Interaction

    torch.testing.assert_close(found, model.model.calculate_loss(Interaction({"user_id": users})))


@pytest.mark.parametrize("name", ["BPR", "NeuMF", "SimpleX"])
def test_several_negatives_of_a_pair(data, name):
    """Pairs are repeated for them where they are compared; where they are labelled, a pair is one row."""
    options = {"train_neg_sample_args": {"sample_num": 3}}
    read = bridge.load("d", options={**data.options, **options})
    torch.manual_seed(0)
    model = bridge.recommender(read, name).eval()
    batch = next(iter(RankingBatches(read.split.train, batch_size=20, negatives=Negatives(count=3))))
    users, positives, negatives = (batch[key].view(3, 20) for key in ("users", "positives", "negatives"))
    if name == "SimpleX":
        inner = model.model
        rows = users[0], positives[0], inner.history_item_id[users[0]], inner.history_item_len[users[0]], negatives.T
        wanted = inner.forward(*rows)
    else:
        positive, negative = model.score(users, positives), model.score(users, negatives)
        wanted = -(1e-10 + (positive - negative).sigmoid()).log().mean()
        if name == "NeuMF":
            logs = -torch.nn.functional.logsigmoid(positive[0]).sum() - torch.nn.functional.logsigmoid(-negative).sum()
            wanted = logs / 80
    torch.testing.assert_close(model.own_loss(batch), wanted.reshape(()))


def test_what_is_counted_is_part_of_the_state(data):
    model, batch = built(data, "MultiVAE"), batch_of(data)
    for _ in range(3):
        model.own_loss(batch)
    assert int(model.state_dict()["own_update"]) == model.model.update == 3
    other = built(data, "MultiVAE")
    other.load_state_dict(model.state_dict())
    other.own_loss(batch)
    assert other.model.update == 4
    diffusion = built(data, "DiffRec")
    diffusion.own_loss(batch)
    assert int(diffusion.state_dict()["own_Lt_count"].sum()) == len(batch["unique_users"])


def test_the_loss_of_a_view(data):
    model, batch = built(data, "BPR"), batch_of(data)
    view = show(model, batch)
    assert "own_loss" in view
    assert list(view) == ["user", "item"]
    torch.testing.assert_close(view["own_loss_sum"], 60 * view["own_loss"])
    assert Distiller(model, None, RecBoleLoss(), call=show)(batch).loss == view["own_loss"]


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", ["EASE", "ItemKNN", "NCEPLRec", "Random"])
    def test_what_is_fitted_has_nothing_to_train(self, data, name):
        model = built(data, name)
        assert is_fitted(model.model)
        with pytest.raises(ValueError, match=f"{name} is fitted when it is built, so that there is nothing to train"):
            model.own_loss(batch_of(data))

    @pytest.mark.parametrize(("name", "what"), [("RaCT", "goes through three stages"), ("RecVAE", "in turns")])
    def test_more_than_a_loss(self, data, name, what):
        with pytest.raises(
            ValueError, match=f"RecBole's trainer of {name} .*{what}.*, which is not done here: train it"
        ):
            built(data, name).own_loss(batch_of(data))

    def test_a_column_that_pairs_do_not_have(self, data):
        model = built(data, "DMF", inter_matrix_type="rating")
        with pytest.raises(ValueError, match=r"the loss of DMF reads 'rating' of a row, batches have \['item_id'"):
            model.own_loss(batch_of(data))

    def test_a_batch_of_something_else(self, data):
        with pytest.raises(
            ValueError, match=r"the loss of BPR reads \['positives', 'negatives'\] of a batch, which has"
        ):
            own_loss(built(data, "BPR").model, {"users": torch.tensor([1])})

    def test_another_number_of_negatives(self, data):
        model = built(data, "SimpleX")
        model.model.neg_seq_len = 3
        with pytest.raises(ValueError, match="SimpleX was built for 3 negatives a pair, batches have 1: give"):
            model.own_loss(batch_of(data))

    def test_a_model_without_a_loss_of_its_own(self):
        from recsys.models import MF

        batch = next(iter(RankingBatches(MF_PAIRS, batch_size=4)))
        with pytest.raises(KeyError, match=r"RecBoleLoss reads \['own_loss'\] of the student's view"):
            Distiller(MF(3, 4, 2), None, RecBoleLoss(), call=show)(batch)


MF_PAIRS = Interactions.from_pairs(torch.tensor([0, 1]), torch.tensor([1, 2]), 3, 4)


def test_a_class_of_ones_own_counts_as_what_it_derives_from(data):
    from recbole.model.general_recommender import EASE, NGCF

    class Mine(NGCF):
        pass

    model = bridge.recommender(data, Mine)
    assert kind_of(model.model) == "NGCF"
    assert not why_not(model.model)
    assert model.own_loss(batch_of(data)).isfinite()
    assert is_fitted(bridge.recommender(data, type("Mine", (EASE,), {})).model)
