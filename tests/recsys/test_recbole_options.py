"""RecBole's options of training and evaluation become those of the run, unless the call says otherwise."""

from __future__ import annotations

import functools
from unittest import mock

import pytest
import torch

import recsys
from recsys import bridge
from recsys.models import MF, context
from recsys.tasks import Ranking

pytestmark = pytest.mark.usefixtures("recbole")
SAID = {
    "epochs": 6,
    "learner": "SGD",
    "learning_rate": 0.5,
    "weight_decay": 0.01,
    "clip_grad_norm": {"max_norm": 2.5},
    "train_batch_size": 12,
    "train_neg_sample_args": {"distribution": "popularity", "sample_num": 3, "alpha": 0.5},
    "eval_step": 2,
    "stopping_step": 1,
    "seed": 7,
    "valid_metric": "ndcg@3",
    "metrics": ["Recall", "GAUC", "ItemCoverage"],
    "topk": [3, 5],
    "metric_decimal_place": 2,
    "tail_ratio": 3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "d").mkdir()
    rows = "".join(f"u{u}\ti{(u * 5 + k * k) % 40}\t{k % 5 + 1}\n" for u in range(30) for k in range(10))
    (folder / "d" / "d.inter").write_text("user_id:token\titem_id:token\trating:float\n" + rows)
    return folder


def load(folder, read=bridge.load, **options):
    columns = {"inter": ["user_id", "item_id", "rating"]}
    return read("d", options={"data_path": str(folder), "load_col": columns, **options})


def test_all_are_those_of_the_run(folder):
    data = load(folder, **SAID)
    asked = data.training
    assert {name: asked[name] for name in ("epochs", "clip", "metric_every", "patience", "seed")} == {
        "epochs": 6,
        "clip": 2.5,
        "metric_every": 2,
        "patience": 4,  # two validations that are no better, each after two epochs
        "seed": 7,
    }
    assert asked["optimizer"].func is torch.optim.SGD
    assert asked["optimizer"].keywords == {"lr": 0.5, "weight_decay": 0.01}
    task = Ranking(**data.task)
    assert task.wanted[0] == "ndcg@3"
    assert set(task.wanted) == {"ndcg@3", "recall@3", "recall@5", "gauc", "itemcoverage@3", "itemcoverage@5"}
    assert (task.digits, task.tail, task.batch_size) == (2, 3, 4)
    assert (task.negatives.distribution, task.negatives.count, task.negatives.alpha) == ("popularity", 3, 0.5)
    parts = data.split.train, data.split.valid, data.split.test
    events = torch.cat([part.events()[1] for part in parts])
    assert torch.equal(task.negatives.counts, torch.bincount(events, minlength=25))


def run(data, **given):
    """The options with which the run was made, and what it gave."""
    heard = {}
    whole = recsys.distil.__globals__["distilled"]

    def listening(*args, **options):
        heard.update(options, task=args[5])
        return whole(*args, **options)

    sizes = data.split.train.num_users, data.split.train.num_items
    with mock.patch.dict(recsys.distil.__globals__, distilled=listening):
        result = recsys.distil("none", lambda: MF(*sizes, 2), None, data, progress=False, **given)
    return heard, result


def test_a_run_takes_them_and_its_card_says_so(folder):
    data = load(folder, **SAID)
    heard, result = run(data)
    assert (heard["epochs"], heard["patience"], heard["metric_every"]) == (6, 4, 2)
    assert (heard["clip"], heard["seed"]) == (2.5, 7)
    assert max(len(result.history), 1) <= 6
    assert list(result.scores["test"]) == list(data.metrics)
    assert all(value == round(value, 2) for value in result.scores["test"].values())
    assert set(result.card["recbole"]) == {*SAID}
    assert result.card["recbole"]["learning_rate"] == 0.5


def test_what_the_call_says_goes_before(folder):
    data = load(folder, **SAID)
    task = Ranking(metrics=("hit@2",), batch_size=50)
    adam = functools.partial(torch.optim.Adam, lr=0.1)
    heard, result = run(data, epochs=1, optimizer=adam, seed=0, task=task)
    assert (heard["epochs"], heard["optimizer"], heard["seed"], heard["patience"]) == (1, adam, 0, 4)
    assert list(result.scores["test"]) == ["hit@2"]
    assert set(result.card["recbole"]) == {"clip_grad_norm", "eval_step", "stopping_step"}


def test_where_nothing_is_said_nothing_is_taken(folder):
    data = load(folder)
    assert (data.training, data.task, data.followed) == ({}, {}, {})
    heard, result = run(data, epochs=1)
    assert "recbole" not in result.card
    assert heard["seed"] == 0
    assert "optimizer" not in heard


def test_one_option_of_the_optimiser_brings_recboles_defaults_of_the_others(folder):
    made = load(folder, learning_rate=0.25).training["optimizer"]([torch.nn.Parameter(torch.ones(2))])
    assert type(made) is torch.optim.Adam
    assert (made.defaults["lr"], made.defaults["weight_decay"], made.defaults["fused"]) == (0.25, 0.0, True)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"stopping_step": 10}, {"patience": 11, "metric_every": 1}),
        ({"stopping_step": 0, "eval_step": 3}, {"patience": 3, "metric_every": 3}),
        ({"stopping_step": 1, "eval_step": 5, "epochs": 2}, {"patience": 4, "metric_every": 2, "epochs": 2}),
        ({"eval_step": 4}, {"metric_every": 4}),
    ],
)
def test_validations_are_counted_as_recbole_counts_them(folder, said, wanted):
    assert load(folder, **said).training == wanted


@pytest.mark.parametrize(("model", "pairs"), [("BPR", 6), ("NeuMF", 4), ("LightGCN", 6)])
def test_a_batch_has_recboles_rows(folder, model, pairs):
    """Which are, of each pair, one a negative, and where labels are learnt one for itself."""
    data = bridge.load(
        "d",
        model,
        options={"data_path": str(folder), "train_batch_size": 12, "train_neg_sample_args": {"sample_num": 2}},
    )
    assert data.task["batch_size"] == pairs


def test_a_search_takes_them_too(folder):
    heard = []

    def listening(*args, options, epochs, seed, **_):
        heard.append((args[6], options, epochs, seed))

    with mock.patch.dict(recsys.tune.__globals__, tuned=listening):
        recsys.tune("none", None, None, load(folder, **SAID))
        recsys.tune("none", None, None, load(folder, **SAID), epochs=3, patience=1, seed=5)
        with pytest.raises(ValueError, match=r"chooses by the task's first metric, .* 'giniindex@10' is not"):
            recsys.tune("none", None, None, load(folder, valid_metric="GiniIndex@10"))
    task, options, epochs, seed = heard[0]
    assert (epochs, seed, options["patience"], task.digits) == (6, 7, 4, 2)
    assert options["optimizer"].func is torch.optim.SGD
    assert heard[1][1]["patience"] == 1
    assert heard[1][2:] == (3, 5)


def test_rows_of_clicks_follow_those_of_training(folder):
    data = load(folder, context.load, threshold={"rating": 3}, epochs=2, train_batch_size=32, learning_rate=0.1)
    assert data.recbole.training["epochs"] == 2
    net = context.context_model(data, "FM", {"embedding_size": 2})
    known = mock.MagicMock()
    with mock.patch.dict(recsys.distil.__globals__, distilled=known):
        recsys.distil("none", net, None, data)
    args, options = known.call_args
    assert args[5].batch_size == 32
    assert (options["epochs"], options["optimizer"].keywords["lr"]) == (2, 0.1)
    for key, value in {"metric_decimal_place": 3, "repeatable": True, "train_neg_sample_args": {}}.items():
        with pytest.raises(ValueError, match=rf"\['{key}'\] of RecBole's options have no effect here"):
            load(folder, context.load, **{key: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "'epochs' must be a whole number, at least 1, got 0"),
        ({"epochs": 1.5}, "'epochs' must be a whole number"),
        ({"stopping_step": -1}, "'stopping_step' must be a whole number, at least 0"),
        ({"eval_step": 0}, "'eval_step' must be a whole number, at least 1"),
        ({"train_batch_size": True}, "'train_batch_size' must be a whole number"),
        ({"learner": "adamm"}, "'learner' must be one of .* got 'adamm'; did you mean 'adam'"),
        ({"learner": "sparse_adam"}, "'learner' must be one of .*'sgd'.* got 'sparse_adam'"),
        ({"learning_rate": -1.0}, "'learning_rate' must be a number, not below 0"),
        ({"weight_decay": [1]}, "'weight_decay' must be a number"),
        ({"clip_grad_norm": 5}, "'clip_grad_norm' must be a dict"),
        ({"clip_grad_norm": {"max_norm": 5, "norm_type": 1}}, "of the Euclidean norm"),
        ({"train_neg_sample_args": None}, "'train_neg_sample_args' must be a dict"),
        ({"train_neg_sample_args": {"distribution": "none"}}, "'train_neg_sample_args' must be a dict"),
        ({"train_neg_sample_args": {"sample": 3}}, "got 'sample'; did you mean 'sample_num'"),
        ({"train_neg_sample_args": {"dynamic": True}}, "'dynamic' of 'train_neg_sample_args' must be False"),
        ({"train_neg_sample_args": {"candidate_num": 4}}, "'candidate_num' .* has no effect without 'dynamic'"),
        ({"train_neg_sample_args": {"distribution": "popular"}}, "'popular'"),
        ({"train_neg_sample_args": {"alpha": "x", "distribution": "popularity"}}, "'alpha' of .* must be a number"),
    ],
)
def test_values_that_are_none_are_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        load(folder, **options)


def test_an_item_may_be_recommended_again(folder):
    data = load(folder, repeatable=True)
    task = Ranking(**data.task)
    assert task.repeatable
    assert task.negatives.own
    torch.manual_seed(0)
    model, (train, test) = MF(31, 25, 4), (data.split.train, data.split.test)
    found = task.score(model, data.split)
    assert found == recsys.evaluate.full_ranking(model, test, (), ["ndcg@10", "recall@10"])
    assert found != recsys.evaluate.full_ranking(model, test, train, ["ndcg@10", "recall@10"])
