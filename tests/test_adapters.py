"""Golden cases of other knobs and shapes than those at hand: what the authors' codes do there, again, and defaults."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.losses.example import assert_value
from tests.parity import ADAPTERS


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(name, student, teacher=None):
    """An input of both sides."""
    sides = {"student": student, "teacher": student if teacher is None else teacher}
    return {f"{side}_{name}": normal(*shape, seed=seed) for seed, (side, shape) in enumerate(sides.items())}


LOGITS = pair("logits", (6, 4)) | {"labels": torch.tensor([0, 1, 2, 3, 0, 1])}
FEATURES = pair("features", (6, 3), (6, 5))
MAPS = pair("features", (2, 3, 2, 2), (2, 4, 2, 2))
OUTPUT = pair("output", (6, 1)) | {"target": normal(6, 1, seed=2)}
HEADS = {
    name: normal(6, seed=seed)
    for seed, name in enumerate(("student_label_head", "student_teacher_head", "teacher_prediction", "targets"))
}
DEFAULTS = {
    "at_paper": (MAPS, {"p": 2, "mode": "code"}),
    "cc_gaussian": (FEATURES, {"gamma": 0.4, "P_order": 2}),
    "cirkd_minibatch": (MAPS, {"temperature": 0.1}),
    "conditional_ts": (LOGITS, {"temperature": 1.0}),
    "darkrank_hard": (FEATURES, {"alpha": 3, "beta": 3, "permute_len": 4}),
    "dist": (LOGITS, {"tau": 1.0, "beta": 1.0, "gamma": 1.0, "eps": 1e-8}),
    "dkd": (LOGITS, {"temperature": 4.0, "alpha": 1.0, "beta": 8.0}),
    "label_smoothing": (LOGITS, {"alpha": 0.1}),
    "log_euclidean": (FEATURES, {"ridge": 1e-3}),
    "nst": (MAPS, {"kernel": "polynomial", "d": 2, "c": 0}),
    "rkd_distance": (FEATURES, {"squared": False, "eps": 1e-12, "huber_delta": 1.0}),
    "teacher_bounded_regression": (OUTPUT, {"nu": 0.5, "margin": 0.0}),
    "teacher_outlier_rejection": (HEADS, {"threshold": 1.0, "lambda": 0.5}),
    "weighted_soft_ce": (LOGITS, {"T": 1.0}),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_params_that_are_left_out_have_the_methods_defaults(name):
    inputs, params = DEFAULTS[name]
    want = ADAPTERS[name](dict(inputs), params)
    for left_out in params:
        rest = {key: value for key, value in params.items() if key != left_out}
        for output, value in ADAPTERS[name](dict(inputs), rest).items():
            assert_value(value.double().sum(), float(want[output].double().sum()))


def test_activation_boundaries_of_maps_are_summed_over_positions():
    maps = pair("preact", (3, 4, 2, 2))
    rows = {name: value.flatten(1) for name, value in maps.items()}
    assert_value(ADAPTERS["ab"](maps, {"margin": 0.5})["loss"], float(ADAPTERS["ab"](rows, {"margin": 0.5})["loss"]))


def test_fsp_of_a_teacher_with_larger_maps():
    """Flows are means over positions: the sizes of student and teacher need not agree, those of two layers must."""
    student, teacher = (
        (normal(2, 3, 2, 2), normal(2, 2, 1, 1, seed=1)),
        (normal(2, 3, 4, 4, seed=2), normal(2, 2, 4, 4)),
    )
    inputs = {f"student_features_{n}": x for n, x in enumerate(student)}
    inputs |= {f"teacher_features_{n}": x for n, x in enumerate(teacher)}
    ours, theirs = (
        torch.einsum("bmhw,bnhw->bmn", first, second) / second[0, 0].numel()
        for first, second in ((F.adaptive_avg_pool2d(student[0], 1), student[1]), teacher)
    )
    assert_value(ADAPTERS["fsp"](inputs, {})["loss"], float((ours - theirs).square().mean()))


@pytest.mark.parametrize("power", [1, 2])
def test_collapsed_factors_are_pooled_to_the_smaller_map(power):
    inputs = pair("factor", (3, 4, 4, 4), (3, 2, 2, 2))
    maps = F.adaptive_avg_pool2d(inputs["student_factor"], 2), inputs["teacher_factor"]
    s, t = (F.normalize(x.square().mean(dim=1).flatten(1)) for x in maps)
    got = ADAPTERS["factor_transfer_repdistiller"](inputs, {"p1": 2, "p2": power})["loss"]
    assert_value(got, float((s - t).abs().pow(power).mean()))


def test_nst_knows_one_kernel():
    with pytest.raises(ValueError, match="'kernel' must be 'polynomial', got 'gaussian'"):
        ADAPTERS["nst"](dict(MAPS), {"kernel": "gaussian", "d": 2, "c": 0})


def test_the_weight_of_srrl_is_that_of_both_terms():
    inputs = pair("features", (4, 3, 2, 2)) | {"teacher_classifier_weight": normal(5, 3)}
    got = ADAPTERS["srrl"](inputs, {"weight": 3.0})
    assert_value(got["loss"], 3 * float(got["feature_matching"] + got["softmax_regression"]))


def test_sskd_without_weights_is_a_plain_sum():
    inputs = pair("logits", (12, 4)) | pair("ss_features", (12, 3)) | {"labels": torch.tensor([0, 2, 3])}
    params = {"kl_temp": 2.0, "ss_temp": 0.5, "tf_temp": 3.0, "ss_ratio": 1.0, "tf_ratio": 0.5}
    got, want = (
        ADAPTERS["sskd"](inputs, params | {"loss_weights": weights})["loss"] for weights in (None, [1.0, 1.0, 1.0, 1.0])
    )
    assert_value(got, float(want))


def test_tscl_acts_naively_in_whole_windows():
    params = {"temperature": 0.1, "window_size": 4, "lr": 0.1, "abs": False}
    got = ADAPTERS["tscl"]({"scores": normal(10, 3)}, params)
    assert {name: len(rows) for name, rows in got.items()} == {
        "probabilities_online": 10,
        "probabilities_naive": 8,
        "probabilities_windowed": 10,
        "probabilities_sampling": 10,
    }


def test_rows_of_the_largest_cluster_difference_come_in_order():
    inputs = {"teacher_hidden": normal(9, 4), "teacher_logits": normal(9, 2, seed=1), "student_logits": normal(9, 2)}
    got = ADAPTERS["ruder_mcd"](inputs, {"T": 5.0, "lambda": 0.5, "top_n": 4})
    assert got["selected"].tolist() == sorted(got["mcd"].argsort(descending=True)[:4].tolist())
