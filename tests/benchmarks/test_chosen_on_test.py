"""The illustration of choosing on test nodes: one run chooses on them, the other does not."""

import torch

from benchmarks import chosen_on_test
from benchmarks.graph.scene import Scene
from benchmarks.runs import Place


def test_each_student_is_chosen_on_its_nodes():
    rows = chosen_on_test.main(["--dataset", "karate", "--methods", "kd", "--seeds", "2", "--epochs", "8"])
    assert [row["method"] for row in rows] == ["kd, validation", "kd, test"] * 2
    honest, wrong = rows[::2], rows[1::2]
    assert all(row["validation"] == row["value"] for row in wrong)
    scenes = [Scene("karate", seed, student="mlp", teacher="sage").whole for seed in (0, 1)]
    for row, data in zip(honest, scenes, strict=True):
        of_validation = row["validation"] * int(data.val_mask.sum())
        assert abs(of_validation - round(of_validation)) < 1e-4  # a share of validation nodes
    assert any(row["validation"] != row["value"] for row in honest)


def test_the_teacher_is_shared_and_further_models_are_not():
    scene = Scene("karate", 0, student="mlp", teacher="sage", epochs=2)
    other = scene.chosen_on("test_mask", Place())
    assert torch.equal(other.seen.val_mask, scene.whole.test_mask)
    assert not torch.equal(scene.seen.val_mask, scene.whole.test_mask)
    assert other.teacher(Place()) is scene.teacher(Place())
    assert other.about != scene.about  # by which models in a folder of runs are told apart
    assert other.further(2, Place())[1] is not scene.further(2, Place())[1]
