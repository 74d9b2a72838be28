"""RecBole's configurations, files and models: each is followed exactly, or refused by name."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import random
import re
from collections import defaultdict

import pytest
import torch

import recsys
from benchmarks.recsys import main, parse
from recsys import bridge
from recsys.models import context

pytestmark = pytest.mark.skipif(importlib.util.find_spec("recbole") is None, reason="RecBole is not installed")
RANDOM = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None}


def pairs(users=10, per_user=6, items=20):
    return [f"u{u}\ti{(u * 3 + k) % items}" for u in range(users) for k in range(per_user)]


@pytest.fixture
def atomic(tmp_path):
    """Writes the files of a dataset "d", and gives options that name their folder."""

    def write(rows=None, head="user_id:token\titem_id:token", encoding="utf-8", end="inter", **options):
        (tmp_path / "d").mkdir(exist_ok=True)
        text = "\n".join([head, *(pairs() if rows is None else rows)]) + "\n"
        (tmp_path / "d" / f"d.{end}").write_text(text, encoding=encoding)
        return {"data_path": str(tmp_path), **options}

    return write


def kept(split):
    """All pairs of a split, by token."""
    found = [part.events() for part in (split.train, split.valid, split.test)]
    return sorted(
        (split.user_tokens[u], split.item_tokens[i])
        for users, items in found
        for u, i in zip(users.tolist(), items.tolist(), strict=True)
    )


class TestEvaluation:
    @pytest.mark.parametrize("mode", ["uni", "pop0", "top100", None, 3, {"valid": "uni100", "test": "uni-5"}])
    def test_a_mode_that_is_none_is_refused(self, atomic, mode):
        options = atomic(eval_args={**RANDOM, "mode": mode})
        with pytest.raises(ValueError, match="'mode' must be 'full', 'labeled', or 'uniN' or 'popN' with a number"):
            bridge.load("d", options=options)

    @pytest.mark.parametrize("mode", ["full", {"valid": "full", "test": "full"}, {"test": "full"}])
    def test_full_ranking_is_taken(self, atomic, mode):
        assert len(bridge.load("d", options=atomic(eval_args={**RANDOM, "mode": mode})).split.test) == 6

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ({"splits": {"RS": [8, 1, 1]}}, r"'eval_args' must have some of the keys .*'splits'; did you mean 'split'"),
            ({"modus": "full"}, "got 'modus'; did you mean 'mode'"),
            ({"mode": {"validation": "full"}}, "'mode' must have some of the keys .* got 'validation'"),
            ({"split": {"RS": [0.8, 0.2]}}, "'RS' must be shares of training, validation and test pairs, three"),
            ({"split": {"RS": [0.8, -0.1, 0.3]}}, "'RS' must be shares"),
            ({"split": {"RS": "0.8,0.1,0.1"}}, "'RS' must be shares"),
            ({"split": {"LS": "all"}}, "'LS' must be one of .*'valid_and_test'.* got 'all'"),
            ({"split": {"XS": [1, 1, 1]}}, "'split' must have some of the keys .*'XS'"),
            ({"split": None}, "'split' must be one of"),
            ({"order": "NO"}, "'order' must be 'RO' .* or 'TO' .* got 'NO'"),
            ({"split": {"TS": [0.8, 0.1, 0.1]}, "order": "RO"}, "'order' must be 'TO' where 'split' is 'TS'"),
            ({"group_by": "item"}, "'group_by' must be 'user' or None, got 'item'"),
        ],
    )
    def test_nested_keys_and_values_are_looked_at(self, atomic, args, message):
        with pytest.raises(ValueError, match=message):
            bridge.load("d", options=atomic(eval_args=args))

    def test_something_else_than_a_dict(self, atomic):
        with pytest.raises(TypeError, match="'eval_args' must be a dict"):
            bridge.load("d", options=atomic(eval_args="full"))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"metrics": ["Recall", "AUROC"]}, r"'metrics' must be some of \['recall', .* got 'AUROC'"),
            ({"metrics": ["Recall", "AUC"]}, r"must be of rankings or of values, got both: \['auc'\], \['recall'\]"),
            ({"metrics": ["auc"]}, r"\['auc'\] are of labels: 'mode' must be 'uniN', 'popN' or 'labeled'"),
            ({"metrics": ["Recall"], "eval_args": {"mode": "labeled"}}, "'labeled' rows are no rankings"),
            ({"valid_metric": "GAUC@10"}, "'valid_metric' must have no cutoff, as 'GAUC'"),
            ({"eval_args": {"mode": "labeled"}}, "'mode' is 'labeled' and the rows have no 'label'"),
            ({"metric_decimal_place": "four"}, "'metric_decimal_place' must be of type int"),
            ({"tail_ratio": "half"}, "'tail_ratio' must be a number"),
            ({"metrics": "reCal"}, "got 'reCal'; did you mean 'recall'"),
            ({"valid_metric": "AUC"}, r"\['auc'\] are of labels"),
            ({"valid_metric": "AUCC"}, "'valid_metric' must be some of"),
            ({"valid_metric": "MRR"}, "'valid_metric' must have a cutoff, as 'MRR@10', got 'MRR'"),
            ({"topk": [5, 0]}, "'topk' must be a positive integer"),
            ({"topk": "ten"}, "'topk' must be a positive integer"),
        ],
    )
    def test_what_is_not_measured_is_named(self, atomic, options, message):
        with pytest.raises(ValueError, match=message):
            bridge.load("d", options=atomic(**options))

    @pytest.mark.parametrize(
        ("options", "wanted"),
        [
            ({}, ()),
            ({"topk": 3}, ("recall@3", "mrr@3", "ndcg@3", "hit@3", "precision@3")),
            ({"metrics": "NDCG", "topk": [3, 5]}, ("ndcg@3", "ndcg@5")),
            ({"metrics": ["Recall", "Hit"], "valid_metric": "Hit@10"}, ("hit@10", "recall@10")),
            ({"metrics": ["Recall"], "valid_metric": "MRR@5"}, ("mrr@5", "recall@10")),
        ],
    )
    def test_metrics_are_those_of_the_run(self, atomic, options, wanted):
        data = bridge.load("d", options=atomic(**options))
        assert data.metrics == wanted
        width = data.split.train.num_users, data.split.train.num_items, 2
        result = recsys.distil("none", recsys.models.MF(*width), None, data, epochs=1, progress=False)
        assert tuple(result.scores["test"]) == (wanted or ("ndcg@10", "recall@10"))


IDLE = {
    "loss_decimal_place": 2,
    "reproducibility": False,
    "checkpoint_dir": "saved",
    "save_dataset": True,
    "enable_amp": True,
    "worker": 2,
    "show_progress": False,
    "neg_sampling": {"uniform": 1},
    "valid_metric_bigger": False,
}


class TestTraining:
    @pytest.mark.parametrize("key", IDLE)
    def test_a_key_without_effect_is_refused(self, atomic, key):
        with pytest.raises(ValueError, match=rf"\['{key}'\] of RecBole's options have no effect here.*\n  '{key}': \w"):
            bridge.load("d", options=atomic(**{key: IDLE[key]}))

    def test_all_are_named_at_once_also_from_files(self, atomic, tmp_path):
        (tmp_path / "mine.yaml").write_text("nproc: 2\nstate: INFO\nepochs: 5\ntopk: [3]\nembedding_size: 8\n")
        message = r"\['nproc', 'state'\] of .*\n.*'fabric'.*\n.*logging\n.*'epochs' is followed by .*\n.*'topk' is fol"
        with pytest.raises(ValueError, match=message):
            bridge.load("d", files=[tmp_path / "mine.yaml"], options=atomic())

    def test_what_is_done_here_anyway_is_taken(self, atomic):
        same = {"repeatable": False, "train_neg_sample_args": {"distribution": "uniform"}, "clip_grad_norm": None}
        bridge.load("d", options=atomic(**same, shuffle=True, save_dataset=False, valid_metric_bigger=True))

    def test_what_code_of_ones_own_reads_is_taken(self, atomic):
        assert bridge.load("d", options=atomic(epochs=3), known=["epochs"]).config["epochs"] == 3

    def test_the_seed_is_that_of_the_split(self, atomic):
        first, other = (bridge.load("d", options=atomic(seed=seed)).split for seed in (1, 2))
        assert kept(first) == kept(other)
        assert not torch.equal(first.test.keys, other.test.keys)

    @pytest.mark.parametrize(
        "option",
        [
            {"MAX_ITEM_LIST_LENGTH": 20},
            {"kg_reverse_r": True},
            {"token_num_threshold": 3},
            {"benchmark_filename": ["train", "valid", "test"], "val_interval": {"rating": "[3,inf)"}},
        ],
    )
    def test_keys_that_nothing_reads_are_refused(self, atomic, option):
        for part in ("train", "valid", "test"):
            atomic(end=f"{part}.inter")
        with pytest.raises(ValueError, match=rf"\['{list(option)[-1]}'\] of .*no effect.*\n.*nothing reads it"):
            bridge.load("d", options=atomic(**option))

    def test_two_names_of_a_dataset_or_a_model(self, atomic):
        assert bridge.load(options=atomic(dataset="d", model="LightGCN")).config["model"] == "LightGCN"
        with pytest.raises(ValueError, match="'dataset' must be one, got 'd' and, among the options, 'e'"):
            bridge.load("d", options=atomic(dataset="e"))
        with pytest.raises(ValueError, match="'model' must be one, got 'BPR' and, among the options, 'NGCF'"):
            bridge.load("d", "BPR", options=atomic(model="NGCF"))
        with pytest.raises(TypeError, match="'dataset' must be the name of a folder"):
            bridge.load(options=atomic())
        with pytest.raises(ValueError, match="'data_path' has no effect on 'ml-100k'"):
            bridge.load("ml-100k", options=atomic())

    def test_clicks_have_metrics_of_their_own(self, atomic):
        with pytest.raises(ValueError, match=r"\['metrics'\] of .*no effect here.*\n.*recsys.tasks.Clicks"):
            context.load("d", options=atomic(metrics=["AUC"]))
        with pytest.raises(ValueError, match="'mode' must be 'labeled' here, got 'full'"):
            context.load("d", options=atomic(eval_args={"mode": "full"}))

    def test_options_of_a_model_are_the_models(self, atomic):
        data = bridge.load("d", options=atomic())
        with pytest.raises(
            ValueError, match=r"\['seed'\] of .*\n.*BPR does not read it; options of the data belong to"
        ):
            bridge.recommender(data, "BPR", {"seed": 3})
        with pytest.raises(ValueError, match=r"\['embedding_size'\] of .*\n.*DMF does not read it"):
            bridge.recommender(data, "DMF", {"embedding_size": 8})
        with pytest.raises(ValueError, match=r"\['m_step'\] of .*\n.*NCL does not read it"):
            bridge.recommender(data, "NCL", {"m_step": 2})
        assert bridge.recommender(data, "DGCF", {"train_batch_size": 16}).num_users == 11


class TestTimes:
    """Ten events of each of twenty users, in any order; the item says which it is."""

    def rows(self, step, start=1_700_000_000):
        found = [f"u{u}\ti{k}\t{start + step * k}" for u in range(20) for k in range(10)]
        random.Random(0).shuffle(found)
        return found

    def load(self, atomic, split, step=7, start=1_700_000_000, **options):
        options["load_col"] = {"inter": ["user_id", "item_id", "timestamp"]}
        how = {"split": split, "order": "TO", "group_by": "user"}
        head = "user_id:token\titem_id:token\ttimestamp:float"
        data = bridge.load("d", options=atomic(self.rows(step, start), head, eval_args=how, **options))
        return data, [self.numbers(data.split, part) for part in (data.split.train, data.split.valid, data.split.test)]

    def numbers(self, split, part):
        found = defaultdict(list)
        for user, item in zip(*(each.tolist() for each in part.pairs()), strict=True):
            found[user].append(int(split.item_tokens[item][1:]))
        return found

    @pytest.mark.parametrize(("step", "start"), [(7, 1_700_000_000), (1, 1_700_000_000_000), (1000, 10**15)])
    def test_the_last_item_is_the_last(self, atomic, step, start):
        _, (train, valid, test) = self.load(atomic, {"LS": "valid_and_test"}, step, start)
        assert all(items == [9] for items in test.values())
        assert all(items == [8] for items in valid.values())
        assert all(sorted(items) == list(range(8)) for items in train.values())

    @pytest.mark.parametrize("normalised", [False, True])
    def test_shares_are_in_the_order_of_time(self, atomic, normalised):
        data, (train, valid, test) = self.load(atomic, {"RS": [0.6, 0.2, 0.2]}, normalize_all=normalised)
        for user in train:
            assert (sorted(valid[user]), sorted(test[user])) == ([6, 7], [8, 9])
        assert all(part.inter_feat["timestamp"].dtype == torch.float32 for part in data.parts)

    def test_the_boundary_of_a_split_by_time(self, atomic):
        _, (train, _, test) = self.load(atomic, {"TS": [0.6, 0.2, 0.2]})
        assert set(map(tuple, map(sorted, test.values()))) == {(8, 9)}
        assert max(max(items) for items in train.values()) < 8

    def test_an_interval_of_time(self, atomic):
        interval = {"timestamp": "[1700000014,1700000050)"}
        _, parts = self.load(atomic, {"RS": [0.8, 0.1, 0.1]}, val_interval=interval)
        assert {number for part in parts for items in part.values() for number in items} == set(range(2, 8))

    @pytest.mark.parametrize("interval", ["[1;2)", "3", "[5,1]", "[a,b]", "[1,2];x"])
    def test_an_interval_that_is_none(self, atomic, interval):
        with pytest.raises(ValueError, match=r"'val_interval\['timestamp'\]' must be intervals as"):
            self.load(atomic, {"RS": [0.8, 0.1, 0.1]}, val_interval={"timestamp": interval})

    def test_order_needs_times(self, atomic):
        how = {"split": {"LS": "valid_and_test"}, "order": "TO"}
        with pytest.raises(ValueError, match=r"'order' TO needs the times of .*, column 'timestamp': name it in 'load"):
            bridge.load("d", options=atomic(eval_args=how))
        head, rows = "user_id:token\titem_id:token\ttimestamp:token", [f"{row}\t3" for row in pairs()]
        load_col = {"inter": ["user_id", "item_id", "timestamp"]}
        with pytest.raises(ValueError, match="must have 'timestamp' of type 'float' in its header, got 'token'"):
            bridge.load("d", options=atomic(rows, head, eval_args=how, load_col=load_col))
        rows[4] = rows[4][:-1]
        with pytest.raises(
            ValueError, match="must have something as 'timestamp' in every row, 1 rows have not: at lines 6"
        ):
            bridge.load(
                "d",
                options=atomic(
                    rows, head.replace("timestamp:token", "timestamp:float"), eval_args=how, load_col=load_col
                ),
            )


ODD = [
    "4294967299",
    "18446744073709551621",
    "NA",
    "null",
    "None",
    "nan",
    "NaN",
    "n/a",
    "TRUE",
    "N/A",
    "NULL",
    "<NA>",
    "1e3",
    "007",
    " x",
]


class TestTokens:
    @pytest.mark.parametrize("side", [0, 1])
    @pytest.mark.parametrize("part", [None, "train"])
    def test_ids_are_kept_as_they_are(self, atomic, side, part):
        rows = pairs() + ["\t".join((odd, "i1") if side == 0 else ("u1", odd)) for odd in ODD]
        options = {"eval_args": RANDOM}
        if part:
            options = {"benchmark_filename": ["train", "valid", "test"]}
            for name in ("valid", "test"):
                atomic([rows[0]], end=f"{name}.inter")
        split = bridge.load("d", options=atomic(rows, end=f"{part}.inter" if part else "inter", **options)).split
        wanted = rows + 2 * [rows[0]] if part else rows
        assert kept(split) == sorted(tuple(row.split("\t")) for row in wanted)

    def test_features_are_kept_and_empty_ones_are_missing(self, atomic):
        atomic(["i0\tNA\tNA null\tNA", "i1\t\t\t2", "i2\tFR\tnone None\tnan"], ITEMS, end="item")
        columns = {"inter": ["user_id", "item_id"], "item": ["item_id", "country", "words", "price"]}
        data = context.load("d", options=atomic(pairs(items=3), load_col=columns, eval_args=RANDOM))
        rows, dataset = data.rows, data.recbole.dataset
        seen = {}
        for item, country, words, price in zip(
            *(rows.columns[name].tolist() for name in ("item_id", "country", "words", "price")), strict=True
        ):
            names = dataset.field2id_token
            seen[names["item_id"][item]] = (
                names["country"][country],
                [names["words"][word] for word in words if word],
                price,
            )
        assert seen == {
            "i0": ("NA", ["NA", "null"], 2.0),
            "i1": ("[PAD]", [], 2.0),
            "i2": ("FR", ["none", "None"], 2.0),
        }

    @pytest.mark.parametrize(
        ("end", "head"), [("inter", "user_id:token\titem_id:token"), ("user", "user_id:token\tage:token")]
    )
    def test_empty_ids_are_named_with_all_their_lines(self, atomic, end, head):
        options = atomic(load_col=None)
        rows = ["u0\ti0", "\ti1", "u1\ti1", "\ti2"]
        atomic(rows, head, end=end)
        message = rf"d.{end}' must have something as 'user_id' in every row, 2 rows have not: at lines 3, 5"
        with pytest.raises(ValueError, match=message):
            bridge.load("d", options=options)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("u1", "must have 2 columns in every row, 1 rows have not: at lines 62, the first is"),
            ("u1\ti1\t3", "must have 2 columns in every row"),
            ('u1\t"i1', "cannot be read at line 62: unexpected end of data"),
            ('"u1\nu2"\ti2', r"must have something on one line \(is a quotation mark open\?\) as 'user_id'"),
        ],
    )
    def test_broken_rows_are_named(self, atomic, row, message):
        with pytest.raises(ValueError, match=message):
            bridge.load("d", options=atomic([*pairs(), row]))

    def test_numbers_that_are_none_are_named(self, atomic):
        rows = [f"{row}\t{'abc' if n in (3, 5) else n}" for n, row in enumerate(pairs())]
        options = atomic(rows, "user_id:token\titem_id:token\trating:float", load_col=None)
        with pytest.raises(
            ValueError, match="must have a number as 'rating' in every row, 2 rows have not: at lines 5, 7"
        ):
            bridge.load("d", options=options)

    def test_files_without_rows(self, atomic):
        with pytest.raises(ValueError, match=r"d.inter' must have at least one row below its header"):
            bridge.load("d", options=atomic([]))

    def test_a_byte_order_mark_is_read_over(self, atomic):
        split = bridge.load("d", options=atomic(encoding="utf-8-sig", eval_args=RANDOM)).split
        assert len(kept(split)) == 60

    def test_another_encoding_is_named(self, atomic):
        options = atomic(encoding="utf-16")
        with pytest.raises(
            ValueError, match=r"d.inter' must be text in 'utf-8': .*; say 'encoding', for example 'utf-16'"
        ):
            bridge.load("d", options=options)
        assert len(kept(bridge.load("d", options={**options, "encoding": "utf-16"}).split)) == 60


ITEMS = "item_id:token\tcountry:token\twords:token_seq\tprice:float"


class TestColumns:
    @pytest.fixture
    def options(self, atomic):
        atomic([f"u{u}\t{20 + u}" for u in range(10)], "user_id:token\tage:token", end="user")
        atomic([f"i{i}\t{i % 3}" for i in range(20)], "item_id:token\tclass:token", end="item")
        return atomic([f"{row}\t3" for row in pairs()], "user_id:token\titem_id:token\trating:float")

    @pytest.mark.parametrize(
        ("load_col", "message"),
        [
            ({"user": ["user_id", "agee"]}, r"d.user' must have the columns \['agee'\], got .*nearest: 'age'\)"),
            (
                {"item": ["item_id", "clas", "x"]},
                r"d.item' must have the columns \['clas', 'x'\], got .*nearest: 'class'",
            ),
            ({"inter": ["user_id", "item_id", "ratings"]}, r"d.inter' must have the columns \['ratings'\].*'rating'"),
            ({"inter": ["item_id", "rating"]}, r"'load_col' must name \['user_id'\] too of 'inter'"),
            ({"user": ["age"]}, r"'load_col' must name \['user_id'\] too of 'user'"),
            ({"users": ["user_id"]}, "'load_col' must have some of the keys .* got 'users'; did you mean 'user'"),
            ({"user": "age"}, "'load_col' must list columns of 'user', or say '\\*', got 'age'"),
            ({"inter": None}, "'load_col' must name columns of 'inter'"),
        ],
    )
    @pytest.mark.parametrize("load", [bridge.load, context.load])
    def test_columns_that_a_file_lacks(self, options, load_col, message, load):
        columns = {"inter": ["user_id", "item_id", "rating"], **load_col}
        with pytest.raises(ValueError, match=message):
            load("d", options={**options, "load_col": columns})

    def test_a_file_that_is_missing(self, atomic):
        columns = {"inter": ["user_id", "item_id"], "user": ["user_id", "age"]}
        with pytest.raises(FileNotFoundError, match=r"'d' must have features of users at .*d.user'; there is no such"):
            bridge.load("d", options=atomic(load_col=columns))

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"load_col": None, "unload_col": {"user": ["agee"]}}, r"d.user' must have the columns \['agee'\]"),
            ({"unload_col": {"inter": ["rating"]}}, "'unload_col' has no effect on 'inter' beside 'load_col'"),
            ({"unload_col": {"user": ["age"]}}, "'unload_col' has no effect on 'user', of which nothing is read"),
            ({"unused_col": {"inter": ["ratin"]}}, r"'unused_col' must name columns that are read, .*got 'ratin'"),
            ({"seq_len": {"words": 3}}, "'seq_len' must name columns that are read"),
            ({"alias_of_user_id": ["friend"]}, "'alias_of_user_id' must name columns that are read"),
        ],
    )
    def test_other_options_that_name_columns(self, options, option, message):
        with pytest.raises(ValueError, match=message):
            bridge.load("d", options={**options, **option})

    def test_what_is_not_loaded_is_not(self, options):
        data = context.load("d", options={**options, "load_col": None, "unload_col": {"user": ["age"]}})
        assert set(data.rows.columns) == {"user_id", "item_id", "rating", "class"}

    def test_all_own_columns_come_where_none_are_named(self, options, tmp_path):
        wanted = {"user_id", "item_id", "rating", "age", "class"}
        assert set(context.load("d", options=options).rows.columns) == wanted
        (tmp_path / "mine.yaml").write_text("load_col: {inter: [user_id, item_id], user: [user_id, age]}\n")
        found = context.load("d", files=[tmp_path / "mine.yaml"], options=options)
        assert set(found.rows.columns) == {"user_id", "item_id", "age"}
        assert {"gender", "zip_code", "class"} <= set(context.load().rows.columns)

    @pytest.mark.parametrize(
        ("head", "message"),
        [
            ("user_id\titem_id", "must begin with the names and types of its columns, as 'user_id:token'"),
            ("user_id:token,item_id:token", "must begin with .*'field_separator'"),
            ("user_id:tokens\titem_id:token", "must begin with .*got \\['user_id:tokens'"),
            ("user_id:token\tuser_id:token", "must begin with"),
            ("user_id:float\titem_id:token", "must have 'user_id' of type 'token' in its header, got 'float'"),
            (
                "user:token\titem:token",
                r"must have the columns \['user_id', 'item_id'\], got .*nearest: 'user', 'item'",
            ),
        ],
    )
    def test_headers_are_looked_at(self, atomic, head, message):
        with pytest.raises(ValueError, match=message):
            bridge.load("d", options=atomic(head=head))

    def test_another_separator(self, atomic):
        rows = [row.replace("\t", ",") for row in pairs()]
        options = atomic(rows, "user_id:token,item_id:token", field_separator=",", eval_args=RANDOM)
        assert len(kept(bridge.load("d", options=options).split)) == 60


class TestModels:
    @pytest.mark.parametrize(
        ("name", "kind", "message"),
        [
            ("NoSuchModel", ValueError, "RecBole has no model 'NoSuchModel'; those taken here: ADMMSLIM, .*LightGCN"),
            ("LightGcn", ValueError, "RecBole has no model 'LightGcn'; did you mean 'LightGCN'"),
            ("xgboost", ValueError, "RecBole has no model 'xgboost'; did you mean 'XGBoost'"),
            ("XGBoost", TypeError, "got XGBoost of type DECISIONTREE: decision trees are not taken here"),
            ("LightGBM", TypeError, "got LightGBM of type DECISIONTREE"),
            ("DeepFM", TypeError, "got DeepFM of type CONTEXT: .* loaded and built by recsys.models.context"),
            (torch.nn.Linear, TypeError, "the name of one of RecBole's or a class that derives from one, got Linear"),
            (3, TypeError, "'model' must be a general recommender, .* got int"),
        ],
    )
    def test_models_that_are_not_taken(self, name, kind, message):
        with pytest.raises(kind, match=message):
            bridge.load("ml-100k", name)
        data = bridge.load("ml-100k")
        with pytest.raises(kind, match=message):
            bridge.recommender(data, name)

    @pytest.mark.parametrize(
        ("name", "kind"), [("SASRec", "SEQUENTIAL"), ("GRU4RecKG", "SEQUENTIAL"), ("KGAT", "KNOWLEDGE")]
    )
    def test_models_whose_data_are_loaded_otherwise(self, atomic, name, kind):
        data = bridge.load("d", options=atomic())
        with pytest.raises(TypeError, match=rf"got {name} of type {kind}: load its data by recsys.bridge.load\("):
            bridge.recommender(data, name)

    def test_a_class_that_does_not_say_what_it_is(self):
        from recbole.model.abstract_recommender import AbstractRecommender

        class Mine(AbstractRecommender):
            pass

        with pytest.raises(TypeError, match="got Mine, which does not say what it is: derive it from"):
            bridge.load("ml-100k", Mine)

    def test_general_and_context_data_are_not_mixed_up(self, atomic):
        general, rows = bridge.load("d", options=atomic()), context.load("d", options=atomic())
        with pytest.raises(TypeError, match=r"'data' must be what recsys.models.context.load gives, got RecBoleData"):
            context.context_model(general, "FM")
        with pytest.raises(TypeError, match=r"'data' must be what recsys.bridge.load gives, got ContextData"):
            bridge.recommender(rows, "BPR")
        with pytest.raises(TypeError, match=r"got BPR of type GENERAL: general recommenders are .* by recsys.bridge"):
            context.context_model(rows, "BPR")

    def test_a_package_that_is_missing_is_named(self, atomic):
        from recbole.model.general_recommender import BPR

        class Mine(BPR):
            def __init__(self, config, dataset):
                import no_such_package  # noqa: F401

        data = bridge.load("d", options=atomic())
        with pytest.raises(ImportError, match="Mine needs 'no_such_package', which is not installed"):
            bridge.recommender(data, Mine)


class TestWidths:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("EASE", "no option 'embedding_size' for EASE, which has no width: leave it out"),
            ("ItemKNN", "for ItemKNN, which has no width"),
            ("SLIMElastic", "for SLIMElastic, which has no width"),
            ("MultiVAE", r"for MultiVAE, whose widths are \['mlp_hidden_size', 'latent_dimension'\]"),
            ("RecVAE", r"for RecVAE, whose widths are \['hidden_dimension', 'latent_dimension'\]"),
            ("NNCF", r"for NNCF, whose widths are \['ui_embedding_size', 'neigh_embedding_size', .*'mlp_hidden_size'"),
        ],
    )
    def test_models_without_this_width_are_named_with_theirs(self, atomic, name, message):
        data = bridge.load("d", options=atomic())
        with pytest.raises(ValueError, match=message):
            bridge.recommender(data, name, {"embedding_size": 64})
        assert bridge.recommender(data, name).num_users == 11

    def test_other_widths(self, atomic):
        data = bridge.load("d", options=atomic())
        with pytest.raises(
            ValueError, match=r"no option 'latent_dimension' for BPR, whose widths are \['embedding_size'\]"
        ):
            bridge.recommender(data, "BPR", {"latent_dimension": 8})
        assert bridge.recommender(data, "MultiVAE", {"mlp_hidden_size": [8], "latent_dimension": 4}).num_items == 21

    @pytest.mark.parametrize("teacher", ["EASE", "ItemKNN", "MultiVAE"])
    def test_the_benchmark_takes_a_teacher_by_its_name_alone(self, atomic, teacher, capsys):
        folder = atomic()["data_path"]
        start = ["--dataset", "d", "--data-path", folder, "--seeds", "1", "--epochs", "1", "--student", "mf:2"]
        rows = main([*start, "--methods", "none,rrd", "--teacher", teacher])
        assert {row["metric"] for row in rows} == {"ndcg@10", "recall@10"}

    @pytest.mark.parametrize(
        ("teacher", "message"),
        [
            ("EASE:64", "EASE:64 cannot be built, name it without a width, EASE: .* has no width"),
            ("DMF:64", "DMF:64 cannot be built, name it without a width, DMF: .*DMF does not read it"),
            ("LightGcn:8", "did you mean 'LightGCN'"),
            ("SASRec:8", "of type SEQUENTIAL: load its data by recsys.bridge.load"),
            ("EASE", "'hetcomp' trains a second teacher of the first one's width"),
        ],
    )
    def test_the_benchmark_refuses_what_it_cannot_build(self, atomic, teacher, message, capsys):
        start = [
            "--dataset",
            "d",
            "--data-path",
            atomic()["data_path"],
            "--student",
            "mf:2",
            "--methods",
            "none,hetcomp",
        ]
        with pytest.raises(SystemExit):
            parse([*start, "--teacher", teacher])
        assert re.search(message, " ".join(capsys.readouterr().err.split()))


class TestSmallCatalogue:
    def test_every_method_runs_on_twenty_items(self, atomic, caplog, capsys):
        caplog.set_level(logging.WARNING)
        arguments = ["--dataset", "d", "--data-path", atomic()["data_path"], "--seeds", "1", "--epochs", "1"]
        rows = main([*arguments, "--methods", "all", "--teacher", "mf:3", "--student", "mf:2"])
        assert {row["metric"] for row in rows} == {"ndcg@10", "recall@10"}
        assert "'k' is 5 here, as many as there are, not 40" in caplog.text

    def test_the_benchmark_goes_on_after_a_failure_and_says_so_at_its_end(self, atomic, monkeypatch, capsys):
        def broken(*_, **__):
            raise ValueError("no such list")

        monkeypatch.setattr(importlib.import_module("recsys.methods.lists._rrd"), "RRDLists", broken)
        arguments = ["--dataset", "d", "--data-path", atomic()["data_path"], "--seeds", "1", "--epochs", "1"]
        rows = main([*arguments, "--methods", "rrd,none", "--teacher", "mf:3", "--student", "mf:2"])
        assert [row["method"] for row in rows if row["metric"] == "error"] == ["rrd"]
        assert any(row["method"] == "none" and row["metric"] == "ndcg@10" for row in rows)
        assert "rrd, seed 0, failed: ValueError: no such list" in " ".join(capsys.readouterr().out.split())


class TestTextsAreData:
    """A text that would write a file if it were run."""

    @pytest.fixture
    def code(self, tmp_path):
        mark = tmp_path / "ran"
        yield f"open({str(mark)!r}, 'w').write('x')"
        assert not mark.exists()

    @pytest.mark.parametrize("key", ["embedding_size", "my_own_knob"])
    def test_of_load(self, atomic, code, key):
        data = bridge.load("d", options=atomic(**{key: code}), known=["my_own_knob"])
        assert data.config[key] == code

    @pytest.mark.parametrize(
        "option",
        [
            lambda code: {"seed": code},
            lambda code: {"eval_args": code},
            lambda code: {"eval_args": {code: "full"}},
            lambda code: {"eval_args": {"mode": code}},
            lambda code: {"eval_args": {"split": {"RS": code}}},
            lambda code: {"eval_args": {"split": {"RS": [code] * 3}}},
            lambda code: {"load_col": {"inter": [code]}},
            lambda code: {"metrics": [code]},
            lambda code: {"topk": code},
            lambda code: {code: 1},
            lambda code: {"user_inter_num_interval": code},
        ],
    )
    def test_of_load_refused_by_name(self, atomic, code, option):
        with pytest.raises((ValueError, TypeError), match=r"must|no option"):
            bridge.load("d", options=atomic(**option(code)))

    def test_of_a_model(self, atomic, code):
        data = bridge.load("d", options=atomic())
        with pytest.raises(ValueError, match=r"'embedding_size' must be of type int, as 64, got the text .open"):
            bridge.recommender(data, "BPR", {"embedding_size": code})
        with pytest.raises((ValueError, TypeError)):
            bridge.recommender(data, "NeuMF", {"mlp_hidden_size": [code]})

    @pytest.mark.parametrize("name", ["CrossNet", None])
    def test_of_the_model_that_runs_a_name(self, atomic, code, name):
        data = context.load("d", options=atomic())
        if name:
            context.context_model(data, "KD_DAGFM", {"teacher": name})
            return
        with pytest.raises(ValueError, match=r"'teacher' must be one of .*'CrossNet'.* got .open"):
            context.context_model(data, "KD_DAGFM", {"teacher": code})

    def test_of_files(self, atomic, code, tmp_path):
        (tmp_path / "a.yaml").write_text(f'embedding_size: "{code}"\n')
        assert bridge.load("d", files=tmp_path / "a.yaml", options=atomic()).config["embedding_size"] == code
        (tmp_path / "b.yaml").write_text("embedding_size: !!python/object/apply:os.getcwd []\n")
        with pytest.raises(ValueError, match=r"b.yaml' must be YAML of plain values: "):
            bridge.load("d", files=[tmp_path / "b.yaml"], options=atomic())
        (tmp_path / "c.yaml").write_text("- a\n")
        with pytest.raises(TypeError, match=r"c.yaml' must be YAML that maps options to values, got a list"):
            bridge.load("d", files=[tmp_path / "c.yaml"], options=atomic())
        (tmp_path / "d.yaml").write_text("")
        bridge.load("d", files=[tmp_path / "d.yaml"], options=atomic())

    def test_of_the_benchmarks_settings(self, code, capsys):
        with pytest.raises(SystemExit):
            parse(["--methods", "rrd", "--set", f"rrd.k={code}"])
        assert "must be of type int" in " ".join(capsys.readouterr().err.split())
        given = parse(["--methods", "irrrd", "--set", f"irrrd.max_items={code}"]).given
        assert given["irrrd"]["max_items"] == code

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("8", 8),
            ("1e-3", 1e-3),
            ("[8, 4]", [8, 4]),
            ("True", True),
            ("false", False),
            ("None", None),
            ("a b", "a b"),
        ],
    )
    def test_literals_are_read(self, atomic, text, value):
        found = bridge.load("d", options=atomic(my_own_knob=text), known=["my_own_knob"]).config["my_own_knob"]
        assert found == value
        assert type(found) is type(value)

    def test_a_width_as_text(self, atomic):
        data = bridge.load("d", options=atomic())
        assert bridge.recommender(data, "BPR", {"embedding_size": "6"}).tables()[0].size(1) == 6
