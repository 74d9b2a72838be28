"""Contrastive representation distillation (CRD): noise-contrastive estimation against memories of all nodes."""

import math
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import counted_logsumexp, counted_softplus, sampled_softplus
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.pairs.contrast import LINEAR
from graphkd.losses._checks import check_positive, check_rows, row_ids
from graphkd.losses._negatives import Counts, Drawn, NegativeDraws, Part
from graphkd.losses._projector import Linear

EPS = 1e-7  # the authors', in the denominators only


class Noise:
    """The noise of K negatives, uniform over n = ``held`` nodes: its mass c = K / n, shifted by the authors' eps."""

    def __init__(self, index: Part, held: int, eps: float = EPS) -> None:
        negatives = index.negatives if isinstance(index, Counts) else index.size(1) - 1
        if negatives < 1:
            raise ValueError(f"'index' must hold a positive and one negative at least, got {1 + negatives} columns")
        mass = negatives / held
        self.log = math.log(mass + eps)
        self.rest = self.log + negatives * math.log1p(eps / mass)

    def contrast(self, total: Tensor, positive: Tensor) -> Tensor:
        """Compute -log h(k_0) - sum_k log(1 - h(k)); total: summed softplus of log a - ``log``, positive: its log a."""
        return total + self.rest - positive


def crd(
    anchor: Tensor,
    memory: Tensor,
    index: Part,
    log_normaliser: Tensor,
    temperature: float = 0.07,
    *,
    eps: float = EPS,
) -> Tensor:
    """Contrast anchors with a memory by noise-contrastive estimation; see ``CRD``.

    (N, p), (n, p), (N, 1 + K), () -> scalar. Anchors are unit vectors. index: ids of memory rows, the positive's first
    and then K negatives', or ``Counts``. The memory is constant; log_normaliser: see ``crd_log_normaliser``.

    Example::

        >>> memory, index = torch.eye(3), torch.tensor([[0, 1, 2]])  # the positive first, then negatives
        >>> log_z = crd_log_normaliser(memory[:1], memory, index)
        >>> bool(crd(memory[:1], memory, index, log_z) < crd(memory[1:2], memory, index, log_z))
        True
    """
    anchor, noise = anchor.to(accumulation_dtype(anchor)), Noise(index, memory.size(0), eps)
    own, shift, scale = _own(index), -log_normaliser - noise.log, 1 / temperature
    positive = (anchor * memory[own].to(anchor.dtype)).sum(dim=1) / temperature - log_normaliser
    if isinstance(index, Counts):
        total = counted_softplus(anchor, memory, index.often, shift, scale)
        total = total + F.softplus(positive - noise.log, threshold=LINEAR)
    else:
        total = sampled_softplus(anchor, memory, index, shift, scale)
    return noise.contrast(total, positive).sum() / max(anchor.size(0), 1)


def crd_log_normaliser(anchor: Tensor, memory: Tensor, index: Part, temperature: float = 0.07) -> Tensor:
    """Compute log Z of ``crd``, Z the mean of exp(a . m / tau) over a batch, times n; scalar, constant.

    Example::

        >>> memory, index = torch.eye(3), torch.tensor([[0, 1, 2]])
        >>> round(float(crd_log_normaliser(memory[:1], memory, index, temperature=1.0)), 3)  # log(e + 1 + 1)
        1.551
    """
    if isinstance(index, Counts):
        log_total, candidates = _log_total(anchor.detach(), memory, index, temperature), 1 + index.negatives
    else:
        wide, candidates = anchor.detach().double(), index.size(1)
        shift = wide.new_tensor(-1 / temperature - 36)  # this far below 0, softplus equals exp to the last bit
        log_total = sampled_softplus(wide, memory, index, shift, 1 / temperature).sum().log() - shift
    return (log_total + math.log(memory.size(0) / max(anchor.size(0) * candidates, 1))).to(anchor.dtype)


def _log_total(anchor: Tensor, memory: Tensor, index: Counts, temperature: float) -> Tensor:
    """Logarithm of the sum of exp(a . m / tau) over positives and negatives."""
    anchor = anchor.to(accumulation_dtype(anchor))
    negatives = counted_logsumexp(anchor, memory, index.often, 1 / temperature)
    positives = (anchor * memory[index.own].to(anchor.dtype)).sum(dim=1) / temperature
    return torch.cat([negatives, positives]).double().logsumexp(dim=0)


def _own(index: Part) -> Tensor:
    return index.own if isinstance(index, Counts) else index[:, 0]


@torch.no_grad()
def remember(memory: Tensor, ids: Tensor, rows: Tensor, momentum: float) -> None:
    """Mix rows u into rows ``ids`` of a memory in place: M_i <- (m M_i + (1 - m) u_i) / |.|."""
    mixed = torch.lerp(rows, memory[ids].to(rows.dtype), momentum)
    memory.index_copy_(0, ids, unit_vectors(mixed).to(memory.dtype))


def first_memory(num_nodes: int, width: int) -> Tensor:
    """Draw the first memory of CRD, uniform in +-1 / sqrt(width / 3), not normalised; (num_nodes, width)."""
    bound = (width / 3) ** -0.5
    return torch.empty(num_nodes, width).uniform_(-bound, bound)


class CRD(Loss):
    """Contrast representations with memories of all nodes. Tian, Krishnan and Isola, ICLR 2020, arXiv:1910.10699 (CRD).

    u = P_s(s), v = P_t(t), linear maps to unit vectors that train with the student. For node i take its row k_0 of the
    teacher's memory M and K rows k drawn uniformly from the other nodes: a_k = exp(u_i . M_k / tau) / Z, c = K / n, h =
    a / (a + c + eps), mean_i [-log h(k_0) - sum_k log(c / (a_k + c + eps))]; the same with v_i and the student's memory
    is added. Z is n times the mean of exp over the first batch, then constant; ``eps`` is 1e-7 in the authors' code.
    Each training step ends with M_i <- (m M_i + (1 - m) u_i) / |.| for the rows of the batch. student: (N, d_s),
    teacher: (N, d_t); n_id: (N,) ids of the nodes, users or items (without it all in order); negatives: (N, K) ids to
    use instead of draws; max_samples: contrast this many rows, drawn at each step. Memories and log Z are buffers. The
    authors' weight is 0.8; their alias sampler may draw i itself, ours does not. For n <= 16 K the loss draws counts
    per node instead of ids: O(N n p) time and O(N n) memory, at most 64 MB; else O(N K p) time and O(N (K + p)) memory.

    Example::

        >>> loss = CRD(data.num_nodes, student_width=12, teacher_width=12, negatives=16)
        >>> before = loss.teacher_memory.clone()
        >>> value = loss(torch.randn(2, 12), torch.randn(2, 12), n_id=torch.tensor([7, 3]))
        >>> (loss.teacher_memory != before).any(dim=1).nonzero()[:, 0]  # the memory now holds this batch's rows
        tensor([3, 7])
        >>> settings = {"hidden": "convs.0", "negatives": 16, "epochs": 2, "progress": False}
        >>> result = graphkd.distil("crd", student, teacher, data, **settings)
    """

    on = "hidden"
    rows = ("n_id", "negatives")
    student_memory: Tensor
    teacher_memory: Tensor
    log_normaliser: Tensor

    def __init__(
        self,
        num_nodes: int,
        student_width: int,
        teacher_width: int,
        projection: int = 128,
        *,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        eps: float = EPS,
        max_samples: int | None = None,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        if num_nodes < 2:
            raise ValueError(f"'num_nodes' must be 2 at least, for negatives, got {num_nodes}")
        self.temperature = check_positive("temperature", temperature)
        self.draws = NegativeDraws(negatives, num_nodes, own_first=True)
        self.momentum, self.eps, self.max_samples = momentum, eps, max_samples
        widths = ("student", student_width), ("teacher", teacher_width)
        self.heads = nn.ModuleList(Linear(width, projection, side=side) for side, width in widths)
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, first_memory(num_nodes, projection))
        self.register_buffer("log_normaliser", torch.full((2,), torch.inf))  # infinite: not computed yet
        self._normalised = False

    def forward(
        self, student: Tensor, teacher: Tensor, *, n_id: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        check_rows(student, teacher)
        ids = row_ids(n_id, student.size(0), self.student_memory.size(0), student.device)
        s, t = (unit_vectors(embedded) for embedded in (self.heads[0](student), self.heads[1](teacher)))
        if not self._normalised:  # read only until it is finite: reading waits for a GPU
            self._normalised = bool(self.log_normaliser.isfinite().all())
        rows = self._sample(student)
        drawn = self._draw(ids[rows], None if negatives is None else negatives[rows])
        loss = self._both(drawn, s[rows], t[rows])
        if self.training:
            remember(self.student_memory, ids, s, self.momentum)
            remember(self.teacher_memory, ids, t, self.momentum)
        return loss

    def _sample(self, student: Tensor) -> Tensor | slice:
        if self.max_samples is None or student.size(0) <= self.max_samples:
            return slice(None)
        return torch.randperm(student.size(0), device=student.device)[: self.max_samples]

    def _draw(self, ids: Tensor, negatives: Tensor | None) -> Drawn:
        drawn: Drawn = self.draws(ids, negatives)
        return drawn

    def _both(self, drawn: Drawn, *anchors: Tensor) -> Tensor:
        """Contrast student's rows with the teacher's memory and teacher's with the student's, by the same draw."""
        memories = self.teacher_memory, self.student_memory
        log_z = self.log_normaliser.to(anchors[0].dtype)

        def normalisers(index: Part, *rows: Tensor) -> Tensor:
            return torch.stack([self._log_normaliser(*side, index) for side in zip(rows, memories, strict=True)])

        def contrasts(index: Part, *rows: Tensor) -> Tensor:
            sides = zip(rows, memories, log_z, strict=True)
            return torch.stack([self._contrast(a, memory, index, z) for a, memory, z in sides]).sum()

        if not self._normalised:
            log_z = torch.where(log_z.isfinite(), log_z, drawn.log_mean(normalisers, *anchors))
            if self.training:
                self.log_normaliser.copy_(log_z)
        return drawn.mean(contrasts, *anchors)

    def _contrast(self, anchor: Tensor, memory: Tensor, index: Any, log_z: Tensor) -> Tensor:
        return crd(anchor, memory, index, log_z, self.temperature, eps=self.eps)

    def _log_normaliser(self, anchor: Tensor, memory: Tensor, index: Any) -> Tensor:
        return crd_log_normaliser(anchor, memory, index, self.temperature)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._normalised = False


@method(
    "crd",
    family="information",
    paper="Tian, Krishnan and Isola, ICLR 2020",
    arxiv="1910.10699",
    survey=(70,),
    needs=("hidden",),
)
def crd_method(problem: Problem, *, weight: float = 0.8, negatives: int = 16384) -> Loss:
    """Tell each node's hidden row of the other model from memories of many nodes, beside the labels.

    Choose it with a loader, whose batches have too few nodes to contrast; on a whole graph ``gcrd`` contrasts all nodes
    in a fraction of the time.
    """
    return problem.supervised() + weight * CRD(problem.nodes, *problem.widths, negatives=negatives)
