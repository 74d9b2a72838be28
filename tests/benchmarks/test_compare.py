"""Paired differences by hand, corrected for how many were asked about, and ranks over data sets."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from statsmodels.stats.multitest import multipletests

from benchmarks import compare
from benchmarks.rows import write

SEEDS = range(5)


def rows(dataset: str, metric: str = "accuracy", **values: list[float]) -> list[dict]:
    """Rows of methods, a value a seed."""
    about = {"dataset": dataset, "split": "cpf", "teacher": "gcn", "student": "mlp", "metric": metric}
    return [
        {**about, "method": name, "seed": seed, "value": value}
        for name, found in values.items()
        for seed, value in enumerate(found)
    ]


def noisy(mean: float, seed: int, spread: float = 0.01) -> list[float]:
    draw = random.Random(seed)
    return [mean + draw.gauss(0, spread) for _ in SEEDS]


def test_differences_are_paired_by_seed():
    hard = [0.1, 0.3, 0.5, 0.7, 0.9]  # seeds differ by far more than methods
    better = [value + gain for value, gain in zip(hard, (0.02, 0.03, 0.02, 0.01, 0.02), strict=True)]
    found = compare.differences(rows("cora", none=hard, kd=better), "accuracy", "none")["kd"]
    gaps = [0.02, 0.03, 0.02, 0.01, 0.02]
    assert found.mean == pytest.approx(0.02)
    assert found.error == pytest.approx(statistics.stdev(gaps) / math.sqrt(5))
    assert (found.wins, found.seeds) == (5, 5)
    assert found.p < 0.01


def test_seeds_of_both_count_alone():
    given = rows("cora", none=[0.5, 0.6], kd=[0.6, 0.7, 0.9])
    found = compare.differences(given, "accuracy", "none")["kd"]
    assert (found.mean, found.seeds) == (pytest.approx(0.1), 2)


def test_p_is_by_holm():
    given = rows("cora", none=noisy(0.5, 0), one=noisy(0.53, 1), two=noisy(0.52, 2), three=noisy(0.5, 3))
    alone = {
        name: compare.differences([row for row in given if row["method"] in ("none", name)], "accuracy", "none")[name].p
        for name in ("one", "two", "three")
    }
    together = compare.differences(given, "accuracy", "none")
    wanted = multipletests(list(alone.values()), method="holm")[1]
    assert [together[name].p for name in alone] == pytest.approx(list(wanted))


def test_errors_are_better_when_less():
    given = rows("mol", "rmse", none=[1.0, 1.1], kd=[0.9, 1.0], rkd=[1.2, 1.3])
    assert [compare.differences(given, "rmse", "none")[name].wins for name in ("kd", "rkd")] == [2, 0]
    assert [line[0] for line in compare.table(given, "rmse")[1:]] == ["kd", "none", "rkd"]


def test_equal_runs_and_single_seeds_have_no_p():
    found = compare.differences(rows("cora", none=[0.5, 0.5], kd=[0.5, 0.5]), "accuracy", "none")["kd"]
    assert math.isnan(found.p)
    assert compare.table(rows("cora", none=[0.5], kd=[0.6]), "accuracy")[1][4:7] == ["+10.00", "1 of 1", ""]


def test_the_command_prints_tables_and_draws_ranks(tmp_path, capsys):
    sets = [
        rows(
            name,
            teacher=noisy(0.9, 9),
            none=noisy(0.5, 3 * place),
            kd=noisy(0.6, 3 * place + 1),
            glnn=noisy(0.7, place),
        )
        for place, name in enumerate(("cora", "citeseer", "digits", "wordnet"))
    ]
    for place, found in enumerate(sets):
        write(found, tmp_path / f"{place}.jsonl")
    files = [str(tmp_path / f"{place}.jsonl") for place in range(4)]
    compare.main([*files, "--picture", str(tmp_path / "ranks.png")])
    told = capsys.readouterr().out
    titles = "| method | student | seeds | accuracy | difference to none | wins | p | difference to kd | wins | p |"
    assert f"\ncora, cpf\n\n{titles}" in told
    assert told.count("| glnn | mlp | 5 |") == 4
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
    means = compare.ranked(dict(enumerate(sets)), "accuracy")
    assert list(means[0]) == ["none", "kd", "glnn"]
    assert compare.picture(means, "accuracy", tmp_path / "again.png") < 0.05


def test_too_few_data_sets_have_no_ranks(tmp_path, capsys):
    write(rows("cora", none=[0.5, 0.6], kd=[0.6, 0.7]), tmp_path / "one.jsonl")
    with pytest.raises(SystemExit):
        compare.main([str(tmp_path / "one.jsonl"), "--picture", str(tmp_path / "ranks.png")])
    assert "ranks need at least 3 methods that 3 data sets have, got 2 that 1 have" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        compare.main([str(tmp_path / "one.jsonl"), "--metric", "recall"])
    assert "no row has the metric 'recall', there are ['accuracy']" in capsys.readouterr().err
