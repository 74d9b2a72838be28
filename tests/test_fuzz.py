"""5,000 examples of ``tests.fuzz``, shared out among all subjects; ``python -m tests.fuzz`` runs more."""

from __future__ import annotations

import pytest
import torch

from tests.fuzz.judge import Failure, judge
from tests.fuzz.subjects import Subject, find

EXAMPLES = 5000
SUBJECTS = list(find())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_keeps_the_rules(subject):
    numbers = range(EXAMPLES // len(SUBJECTS) + 1)
    found = {number: judge(subject, 0, number) for number in numbers}
    broken = {number: failure for number, failure in found.items() if isinstance(failure, Failure)}
    assert not broken, f"python -m tests.fuzz --only '{subject.name}' --number {min(broken)}"


# Examples beyond those, each of which broke a rule once.
MENDED = [
    ("kernels.ranking_log_likelihood", 11, 218),
    ("losses.CRCDGradient", 5, 7),
    ("losses.CRCDGradient", 5, 29),
    ("losses.DIST", 0, 70),
    ("losses.InformationFlow", 5, 1),
    ("losses.PKT", 0, 100),
    ("losses.cross_entropy", 0, 103),
    ("losses.crcd", 0, 514),
    ("losses.darkrank", 11, 138),
    ("losses.edge_map", 0, 150),
    ("losses.fsp", 5, 6),
    ("losses.inter_region_affinity", 11, 351),
    ("losses.label_smoothing", 0, 100),
    ("losses.prediction_graph", 5, 9),
    ("recsys.Refine", 5, 50),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "seed", "number"), MENDED)
def test_what_broke_a_rule_once_keeps_it(name, seed, number):
    (subject,) = (subject for subject in SUBJECTS if subject.name == name)
    assert not isinstance(judge(subject, seed, number), Failure)


def rules(function):
    """The rules that a function of rows breaks in 200 examples."""
    subject = Subject(
        "tests.sample", function, lambda draw: function(draw.rows("student", draw.sizes["rows"], draw.sizes["width"]))
    )
    return {found.rule for number in range(200) if isinstance(found := judge(subject, 0, number), Failure)}


@pytest.mark.filterwarnings("ignore")
def test_a_clamped_norm_is_found():
    """A row of zeros has a gradient of 1e12, and in float16 the guard is 0."""
    assert {"bound", "finite"} <= rules(lambda x: (x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)).sum())


@pytest.mark.filterwarnings("ignore")
def test_words_of_torch_are_found():
    assert "crash" in rules(lambda x: (x @ torch.ones(4, 4, dtype=x.dtype)).sum())
