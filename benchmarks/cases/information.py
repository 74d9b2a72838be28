"""The mutual-information losses and every way to compute them: ours, and the plain form of the authors' codes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases.common import Builder, Case, Ops, Provider, Size, features, gb, library, sides
from graphkd.losses import InformationFlow, crcd, crd, itrd_mutual, pkt
from graphkd.losses.information.pkt import DensityKernel

_BATCH = 64  # anchors of a step, the authors' batch size
_NEGATIVES = {"crd": 16_384, "crcd": 500}
_TEMPERATURE = 0.07
_EPS = 1e-7


# ---------------------------------------------------------------- all pairs
def _plain_probabilities(x: Tensor, kernel: DensityKernel, eps: float = _EPS) -> Tensor:
    if kernel == "cosine":
        unit = x / (x.norm(dim=1, keepdim=True) + eps)
        values = (unit @ unit.t() + 1) / 2
    else:
        norm = x.square().sum(dim=1)
        values = 1 / (1 + ((norm[:, None] + norm - 2 * x @ x.t()).clamp_min(0) + eps).sqrt())
    return values / values.sum(dim=1, keepdim=True)


def probabilities(kernel: DensityKernel) -> Builder:
    """PKT on all nodes; the plain form holds N x N."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = sides(size, device)

        def plain() -> Tensor:
            p, q = _plain_probabilities(student, kernel), _plain_probabilities(teacher, kernel)
            return (q * ((q + _EPS) / (p + _EPS)).log()).mean()

        reference = Provider(plain, gb(10 * size.nodes**2))
        return Case([student], {"reference": reference} | library(lambda: pkt(student, teacher, kernel), device))

    return build


def flow(size: Size, device: torch.device) -> Case:
    """Information flow through a hidden layer and 7 logits, the teacher seen before; the plain form holds N x N."""
    student, teacher = sides(size, device)
    logits, known_logits = sides(size._replace(student=7, teacher=7), device)
    layers, taught = (student, logits), (teacher, known_logits)
    loss = InformationFlow(initial=1.0)
    digest = loss.digest(taught)

    def plain() -> Tensor:
        total = torch.zeros((), device=device)
        for kernel in ("cosine", "student_t"):
            for s, t in zip(layers, taught, strict=True):
                p, q = (_plain_probabilities(x, kernel, loss.layer.eps) for x in (s, t))
                total = total + ((q - p) * (q / p).log()).mean()
        return total

    reference = Provider(plain, gb(40 * size.nodes**2))
    return Case([student, logits], {"reference": reference} | library(lambda: loss(layers, digest), device))


def entropies(size: Size, device: torch.device) -> Case:
    """ITRD's mutual loss on all nodes; the plain form holds N x N."""
    student, teacher = sides(size, device)

    def plain() -> Tensor:
        s, t = F.normalize(student, dim=1), F.normalize(teacher, dim=1)
        alone = s @ s.t()
        joint = alone * (t @ t.t())
        return (alone / alone.trace()).square().sum() - (joint / joint.trace()).square().sum()

    reference = Provider(plain, gb(8 * size.nodes**2))
    return Case([student], {"reference": reference} | library(lambda: itrd_mutual(student, teacher), device))


# ---------------------------------------------------------------- memories
def estimation(a: Tensor, held: int) -> Tensor:
    """NCE of a = exp(score) / Z, the positive first in the last dimension."""
    noise = (a.size(-1) - 1) / held
    positive = (a[..., 0] / (a[..., 0] + noise + _EPS)).log()
    negative = (noise / (a[..., 1:] + noise + _EPS)).log().sum(dim=-1)
    return -(positive + negative).mean()


def contrast(size: Size, device: torch.device) -> Case:
    """One side of CRD: 64 anchors against 16,384 of N memories; the plain form gathers 64 x 16,385 x d."""
    anchor, memory, index, log_z = _memories(size, "crd", device)

    def plain() -> Tensor:
        chosen = memory.index_select(0, index.flatten()).view(*index.shape, -1)
        scores = (chosen @ anchor[:, :, None]).squeeze(2) / _TEMPERATURE
        return estimation((scores - log_z).exp(), size.nodes)

    reference = Provider(plain, gb(index.numel() * size.student))
    own = library(lambda: crd(anchor, memory, index, log_z, _TEMPERATURE), device)
    return Case([anchor], {"reference": reference} | own)


def relations(size: Size, device: torch.device) -> Case:
    """One side of CRCD: 64 x 64 relations against 500 of N memories; the plain form holds 64 x 64 x 501 x d."""
    anchor, memory, index, log_z = _memories(size, "crcd", device)

    def plain() -> Tensor:
        anchors, keys = memory[index[:, 0]], memory[index]
        ours = F.normalize(anchor[:, None] - anchors + 1e-6, dim=2)
        theirs = F.normalize(keys[:, None] - anchors[:, None] + 1e-6, dim=3)
        scores = (theirs @ ours[..., None]).squeeze(3) / _TEMPERATURE
        return estimation((scores - log_z).exp(), size.nodes)

    reference = Provider(plain, gb(3 * _BATCH * index.numel() * size.student))
    own = library(lambda: crcd(anchor, memory, index, log_z, _TEMPERATURE), device)
    return Case([anchor], {"reference": reference} | own)


def _memories(size: Size, op: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Anchors, memory, a positive and negatives of every anchor, log Z."""
    anchor = F.normalize(features(_BATCH, size.student, device), dim=1).requires_grad_()
    memory = F.normalize(features(size.nodes, size.student, device), dim=1)
    index = torch.randint(size.nodes, (_BATCH, 1 + _NEGATIVES[op]), device=device)
    return anchor, memory, index, torch.tensor(float(size.nodes), device=device).log()


OPS: Ops = {
    "pkt_cosine": (probabilities("cosine"), [Size(8_192, 0, 128, 128)], [Size(100_000, 0, 128, 128)]),
    "pkt_student_t": (probabilities("student_t"), [Size(4_096, 0, 128, 128)], []),
    "information_flow_cached": (flow, [Size(2_485, 0, 128, 64)], []),  # Cora
    "itrd_mutual": (entropies, [Size(8_192, 0, 128, 128)], [Size(100_000, 0, 128, 128)]),
    "crd": (contrast, [Size(10_000, 0, 128, 0), Size(1_000_000, 0, 128, 0)], []),
    "crcd": (relations, [Size(10_000, 0, 128, 0)], []),
}
