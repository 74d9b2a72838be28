"""Adversarial adaptation of students to another domain, by discriminators of answers or features.

Tsai et al., "Learning to Adapt Structured Output Space for Semantic Segmentation", CVPR 2018, arXiv:1802.10349.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses._adversarial import discrimination, fooling
from graphkd.losses.response.ce import cross_entropy

SOURCE, TARGET = "source_mask", "target_mask"


def with_domains(problem: Problem, domains: Tensor, *, targets: int = 1) -> Any:
    """Mark the domain of rows in the data: masks ``SOURCE`` and ``TARGET``, and ``domain``, 1, 2 ... for targets.

    domains: (N,), each node's domain, 0 for the source. Only labelled source rows are in ``SOURCE`` and have ``domain``
    0; other source rows have -1. Raises ValueError without labelled source rows or for fewer than ``targets`` targets.
    """
    if domains.dim() != 1 or domains.is_floating_point() or domains.size(0) < problem.nodes:
        raise ValueError(
            f"'domains' must hold an integer for each of {problem.nodes} nodes, 0 for the source and 1, 2 ... for "
            f"targets, got {domains.dtype} of shape {tuple(domains.shape)}"
        )
    labelled = problem.values_of(problem.labelled)
    domains = domains[: problem.nodes].to(labelled.device)
    source, found = labelled & (domains == 0), domains[domains > 0].unique()
    if not bool(source.any()) or found.numel() < targets:
        raise ValueError(
            f"'domains' must have labelled nodes of the source, 0, and {targets} target(s) at least, got "
            f"{int(source.sum())} labelled nodes of 0 and targets {found.tolist()}"
        )
    domain = torch.where((domains == 0) & ~labelled, -1, domains)
    return problem.with_values(**{SOURCE: source, TARGET: domains > 0, "domain": domain})


def discriminator(width: int, inner: int = 64) -> nn.Module:
    """Make a discriminator of rows: (N, width) -> logits (N, 1)."""
    return nn.Sequential(nn.Linear(width, inner), nn.LeakyReLU(0.2), nn.Linear(inner, 1))


class Adaptation(NamedTuple):
    """Losses of the student and of the discriminator."""

    student: Tensor
    discriminator: Tensor


def domain_adversaries(shown: tuple[Tensor, Tensor], discriminator: nn.Module, *, source_label: int = 0) -> Adaptation:
    """Compute the losses of fooling a domain discriminator and of training it: (N, d) and (M, d) -> two scalars.

    shown: rows of the source and of the target. The student's loss is mean BCE(D(target), source_label) with D
    constant; that of ``discriminator`` D, rows -> one logit each, is the mean of BCE(D(source), source_label) and
    BCE(D(target), 1 - source_label) with the rows constant. Raises ValueError unless ``source_label`` is 0 or 1.
    """
    if source_label not in (0, 1):
        raise ValueError(f"'source_label' must be 0 or 1, got {source_label}")
    sign = 2 * source_label - 1  # +1 where a large logit says "source"
    constant = {name: value.detach() for name, value in discriminator.named_parameters()}
    fooled = functional_call(discriminator, constant, (shown[1],)).flatten()
    source, target = (sign * discriminator(rows.detach()).flatten() for rows in shown)
    return Adaptation(fooling(sign * fooled), discrimination(target, source) / 2)


def adversarial_adaptation(
    logits: Tensor,
    y: Tensor,
    shown: tuple[Tensor, Tensor],
    discriminator: nn.Module,
    *,
    weight: float = 1e-3,
    source_label: int = 0,
) -> Adaptation:
    """Learn labels of the source beside ``domain_adversaries``: (N, C), (N,), ((N, d), (M, d)) -> two scalars.

    logits, y: of source rows. The student's loss is CE + weight mean BCE(D(target), source_label). For output-space
    adaptation ``shown`` are class probabilities.
    """
    fooled, judged = domain_adversaries(shown, discriminator, source_label=source_label)
    return Adaptation(cross_entropy(logits, y) + weight * fooled, judged)


class Adversarial(Trainable):
    """Student whose target rows look like source rows to a discriminator. Tsai et al., CVPR 2018, arXiv:1802.10349.

    With ``tap=None`` (output space) the discriminator sees class probabilities, so that the distributions of answers
    are aligned; with a tap path it sees that hidden layer (feature alignment). Batches have the masks ``source_mask``
    and ``target_mask``; ``labels`` is the loss of the source's labels, ``CE(where="source_mask")``. Both sides learn
    from one backward pass, see ``domain_adversaries``; an optimiser with two parameter groups gives the discriminator
    its own rate. weight: of the adversarial term, 0.001 in the paper for the last layer, 0.0002 for an earlier one.
    call: replaces the by-name call of the student.
    """

    def __init__(
        self,
        student: nn.Module,
        discriminator: nn.Module,
        labels: Loss,
        *,
        weight: float = 1e-3,
        tap: str | None = None,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        self.student, self.discriminator, self.labels = student, discriminator, labels
        self.weight, self.tap = weight, tap
        self._viewer = self.hold(Viewer(student, taps={} if tap is None else {"hidden": tap}, call=call))

    def forward(self, batch: Batch) -> Step:
        """Compute the sum of both losses."""
        view = self._viewer(batch)
        shown = view["logits"].softmax(dim=-1) if self.tap is None else view["hidden"]
        fooled, judged = domain_adversaries((shown[batch[SOURCE]], shown[batch[TARGET]]), self.discriminator)
        labels = self.labels.measure(view, None, batch)  # None in a batch without source rows
        student = self.weight * fooled if labels is None else labels + self.weight * fooled
        self.note({"fooled": self.weight * fooled} | ({} if labels is None else {"labels": labels}))
        return Step(student + judged, {"student": student.detach(), "discriminator": judged.detach()})


def aligning(
    problem: Problem, student: nn.Module, judge: nn.Module, weight: float, tap: str | None = None
) -> Adversarial:
    """Make the trainable that aligns a student's two domains beside the source's labels."""
    labels = problem.supervised(where=SOURCE)
    return Adversarial(student, judge, labels, weight=weight, tap=tap, call=problem.call_of(student))


@method(
    "adversarial_output",
    family="domains",
    paper="Tsai et al., CVPR 2018",
    arxiv="1802.10349",
    survey=(21, 27),
    needs=("domains",),
    teacher=False,
)
def adversarial_output(problem: Problem, *, domains: Tensor, weight: float = 0.001, inner: int = 64) -> nn.Module:
    """Align the answers' distributions in two domains; choose it where the target has no labels, and the same classes.

    The student learns the source's labels, and to fool a discriminator with one hidden layer of width ``inner`` that
    tells its class probabilities on target rows from those on source rows. ``domains``: (N,), each node's domain, 0 for
    the source; all others count as one target. weight: of the adversarial term. The paper's discriminator of pixel maps
    becomes one of rows. Costs little more than plain training.
    """
    judge = problem.made(lambda: discriminator(problem.classes, inner))
    return problem.train(aligning(problem, problem.student, judge, weight), data=with_domains(problem, domains))


@method(
    "adversarial_features",
    family="domains",
    paper="Tsai et al., CVPR 2018",
    arxiv="1802.10349",
    needs=("hidden", "domains"),
    teacher=False,
)
def adversarial_features(problem: Problem, *, domains: Tensor, weight: float = 0.001, inner: int = 64) -> nn.Module:
    """Align hidden features of two domains; choose it where answers alone do not bring the domains together.

    As ``adversarial_output``, but the discriminator sees the student's hidden layer. It is a baseline in the paper,
    which does not give its weight; the default is that of ``adversarial_output``.
    """
    judge = problem.made(lambda: discriminator(problem.width_of(problem.student), inner))
    adapting = aligning(problem, problem.student, judge, weight, problem.path_of(problem.student))
    return problem.train(adapting, data=with_domains(problem, domains))
