from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from graphkd.core.hyperparameters import check_call, check_numbers, finite_number

NAN = float("nan")


def function(
    first, temperature: float = 1.0, *rest: object, count: int | None = None, mean: float | torch.Tensor = 0.0, **more
):
    raise NotImplementedError


@pytest.mark.parametrize("value", [2, 2.0, True, np.float32(2), np.int64(2)], ids=repr)
def test_a_number_is_a_float(value):
    assert type(finite_number("n", value)) is float


def test_numbers_are_checked_by_their_annotations_and_others_for_nan():
    check_numbers(function, {"temperature": 2, "count": None, "mean": torch.tensor(NAN), "other": "text"})
    for given in ({"temperature": NAN}, {"count": NAN}, {"mean": NAN}, {"other": NAN}, {"other": (1.0, NAN)}):
        with pytest.raises(ValueError, match="must be a finite number, got nan"):
            check_numbers(function, given)
    for given in ({"temperature": "1"}, {"count": torch.tensor(1)}):
        with pytest.raises(TypeError, match="must be a number, got"):
            check_numbers(function, given)


def test_arguments_of_a_call_are_checked_by_name():
    check_call(function, object(), 2.0, "rest", NAN)
    for arguments, named in (((1, NAN), {}), ((1,), {"temperature": NAN}), ((NAN,), {}), ((1,), {"further": NAN})):
        with pytest.raises(ValueError, match="must be a finite number"):
            check_call(function, *arguments, **named)
    check_call(lambda: None, 1, 2, 3)  # which fails by itself when it is called
    with pytest.raises(ValueError, match="'temperature' must be a finite number"):
        check_numbers(partial(function, count=3), {"temperature": NAN})
