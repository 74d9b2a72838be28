"""States of RecBole's models that are measured, and their own losses."""

import functools
import warnings

import pytest
import torch

from graphkd import Distiller, fit
from recsys._repairs import repaired
from recsys.data.batches import RankingBatches
from recsys.evaluate import draw_candidates, full_ranking, leave_one_out
from recsys.losses import BPR, RecBoleLoss
from recsys.models import show
from tests.door.rankings import SHOWN, built

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:recbole")  # of torch, about RecBole's own code

NAN, INF = float("nan"), float("inf")


class TestTheStateThatIsMeasured:
    @pytest.mark.parametrize("name", list(SHOWN))
    def test_scores_follow_the_weights(self, small, name):
        split, model = small.split, built(small, name).eval()
        users, items = split.test.pairs()
        chosen = torch.tensor([3, 5, 8])

        def seen():
            with torch.no_grad():
                found = model.score(users[:9], items[:9]), model.score_items(chosen), model(chosen)
            return [each.clone() for each in found]

        first, again = seen(), seen()
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        state = {key: torch.randn_like(value) for key, value in model.state_dict().items()}
        model.load_state_dict(state)
        assert not any(torch.equal(one, other) for one, other in zip(first, seen(), strict=True))

    def test_leave_one_out_after_the_weights_are_noise(self, small):
        split, model = small.split, built(small, "SGL")
        users, items = split.test.pairs()
        targets = torch.full((split.test.num_users,), -1).index_copy(0, users, items)
        candidates = draw_candidates(split.train.union(split.valid, split.test), 20)
        before = leave_one_out(model, targets, candidates)
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter)
        assert leave_one_out(model, targets, candidates) != before

    @pytest.mark.parametrize("name", ["SGL", "NCL", "DMF"])
    def test_a_step_may_follow_a_measurement(self, small, name):
        split, model = small.split, built(small, name)
        measured = []

        def metric(student):
            measured.append(full_ranking(student, split.valid, split.train, ["ndcg@10"])["ndcg@10"])
            measured.append(float(student.score(torch.tensor([1]), torch.tensor([2]))))
            return measured[-2]

        batches = RankingBatches(split.train, batch_size=200)
        adam = functools.partial(torch.optim.Adam, lr=1e-4 if name == "DMF" else 0.05)
        fit(Distiller(model, None, BPR(), call=show), batches, epochs=3, optimizer=adam, metric=metric, progress=False)
        assert len(set(measured[1::2])) == 3  # the score of a pair moves in every epoch


class TestALossOfRecBoles:
    def batches(self, data, count=4):
        torch.manual_seed(5)
        return list(RankingBatches(data.split.train, batch_size=120))[:count]

    def by_recbole(self, data, name, batches):
        """The weights after RecBole's own loader and trainer went over the same pairs and negatives."""
        inner = built(data, name).model
        with repaired(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from recbole.data.dataloader import TrainDataLoader
            from recbole.data.interaction import Interaction
            from recbole.data.utils import create_samplers
            from recbole.trainer import Trainer

            class Loader(list):
                shuffle = False

            config = data.config
            settings = {"learning_rate": 0.01, "epochs": 1, "learner": "adam", "weight_decay": 0.0}
            for key, value in {**settings, "MODEL_INPUT_TYPE": inner.input_type}.items():
                config[key] = value
            loader = TrainDataLoader(config, data.dataset, create_samplers(config, data.dataset, list(data.parts))[0])
            rows = Loader()
            for batch in batches:
                pair = Interaction({"user_id": batch["users"], "item_id": batch["positives"]})
                of_users = name in ("ENMF", "MultiVAE", "MultiDAE")
                users = Interaction({"user_id": batch["users"].unique()})
                rows.append(users if of_users else loader.sampling_func(pair, batch["negatives"]))
            torch.manual_seed(7)
            Trainer(config, inner)._train_epoch(rows, 0)
        return inner.state_dict()

    @pytest.mark.parametrize(
        "name", ["BPR", "LightGCN", "NGCF", "NeuMF", "DMF", "SimpleX", "ENMF", "MultiVAE", "MultiDAE"]
    )
    def test_a_model_learns_as_in_recbole(self, small, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        batches = self.batches(small)
        wanted = self.by_recbole(small, name, batches)
        student = built(small, name)
        start = {key: value.clone() for key, value in student.model.state_dict().items()}
        task = Distiller(student, None, RecBoleLoss(), call=show)
        optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
        torch.manual_seed(7)
        task.train()
        for batch in batches:
            optimizer.zero_grad()
            task(batch).loss.backward()
            optimizer.step()
        found = student.model.state_dict()
        assert any(not torch.equal(found[key], start[key]) for key in found)
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)
