"""Graph distillation, the representation graph: pairs of teachers by compact bilinear pooling, compared by MMD."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, Unpack

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.kernels import affinity_sums, gram
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_rows, check_same_shape, choose

DiscrepancyKernel = Literal["linear", "poly", "rbf"]


class CountSketch(nn.Module):
    """A random projection to D numbers: component i, times a sign s(i), is added to number h(i). (N, d) -> (N, D).

    ``place``: h, (d,) integers in range(D); ``sign``: s, (d,) of -1 and 1; both are buffers, drawn uniformly.
    """

    place: Tensor
    sign: Tensor

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.dimension = int(check_positive("dimension", dimension))
        self.register_buffer("place", torch.randint(dimension, (width,)))
        self.register_buffer("sign", 2.0 * torch.randint(2, (width,)) - 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(accumulation_dtype(x))
        return wide.new_zeros(x.size(0), self.dimension).index_add(1, self.place, wide * self.sign.to(wide.dtype))


def compact_bilinear(first: Tensor, second: Tensor) -> Tensor:
    """Apply compact bilinear pooling to sketched rows, by circular convolution: (N, D), (N, D) -> (N, D).

    The result is the count sketch of x y' by h(i) + h'(j) mod D and s_i s'_j; its inner product with that of u v' is
    (x . u) (y . v) on average. Gao et al., CVPR 2016, arXiv:1511.06062. By FFT, O(N D log D) time.

    Example::

        >>> first, second = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 1.0, 0.0]])
        >>> compact_bilinear(first, second).argmax(dim=1)  # places 2 and 1 meet at 2 + 1 = 0 mod 3
        tensor([0])
    """
    check_same_shape(first, second)
    first, second = (x.to(accumulation_dtype(x)) for x in (first, second))
    if first.size(0) == 0:
        return first * second  # the FFT refuses an empty batch
    return torch.fft.irfft(torch.fft.rfft(first) * torch.fft.rfft(second), n=first.size(1))


def mean_discrepancy(
    student: Tensor, teacher: Tensor, kernel: DiscrepancyKernel = "poly", gamma: float = 1.0
) -> Tensor:
    """Compute the squared maximum mean discrepancy of two sets of rows, biased: (N, D), (N, D) -> scalar.

    mean_ij k(s_i, s_j) + mean_ij k(t_i, t_j) - 2 mean_ij k(s_i, t_j). ``linear`` x.y, from means; ``poly`` (x.y + 1)^2,
    from means and D x D second moments; ``rbf`` exp(-gamma |x - y|^2), from all pairs in tiles, O(N^2 D) time.

    Example::

        >>> x, y = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0]])  # one mean, second moments 5 and 4
        >>> [round(float(mean_discrepancy(x, y, kernel)), 3) for kernel in ("linear", "poly")]
        [0.0, 1.0]
    """
    choose("kernel", kernel, DiscrepancyKernel)
    check_same_shape(student, teacher)
    student, teacher = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    if kernel == "rbf":
        side = torch.arange(2, device=student.device).repeat_interleave(student.size(0))
        rows = torch.cat([student, teacher])
        within, pairs = (affinity_sums(rows, "rbf", labels=by, sigma=1 / (2 * gamma)) for by in (side, None))
        return ((2 * within.double().sum() - pairs.double().sum()) / max(student.size(0), 1) ** 2).to(rows.dtype)
    count = max(student.size(0), 1)
    means = ((student.sum(dim=0) - teacher.sum(dim=0)) / count).square().sum()
    if kernel == "linear":
        return means
    second = ((gram(student, student) - gram(teacher, teacher)) / count).square().sum()
    return (second + 2 * means).to(means.dtype)


class RepresentationGraph(Loss):
    """Match the pooled features of pairs of teachers: the representation graph. Zhang and Peng, IJCAI 2018.

    mean_{k<l} MMD^2(n(CBP(t_k, t_l)), n(CBP(s, s))), CBP the ``compact_bilinear`` pooling of count sketches into
    ``dimension`` numbers, n(.) unit rows; arXiv:1804.10069. student: (N, d_s), teacher: two or more teachers' features
    (or layers) side by side, (N, sum of ``teacher_widths``). ``kernel`` and ``gamma``: see ``mean_discrepancy``. Every
    teacher has one sketch, the student two; they are buffers. The authors published no code: pairs of teachers by CBP
    are theirs, MMD and the student's vertex our reading. O(N K^2 D (log D + D)) time.

    Example::

        >>> loss = RepresentationGraph(12, teacher_widths=[4, 4, 6], dimension=64)
        >>> vertices = loss.digest(torch.randn(8, 14))  # features of three teachers side by side: three pairs
        >>> len(vertices), tuple(vertices[0].shape)
        (3, (8, 64))
        >>> objective = graphkd.losses.CE(where="train_mask") + RepresentationGraph(12, [12, 12])
        >>> both = graphkd.Ensemble([teacher, teacher])
        >>> result = graphkd.distil(objective, student, both, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int,
        teacher_widths: Sequence[int],
        dimension: int = 512,
        *,
        kernel: DiscrepancyKernel = "poly",
        gamma: float = 1.0,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        if len(teacher_widths) < 2:
            raise ValueError(f"'teacher_widths' must name two teachers at least, got {list(teacher_widths)}")
        self.widths = list(teacher_widths)
        self.kernel = choose("kernel", kernel, DiscrepancyKernel)
        self.gamma = check_positive("gamma", gamma)
        self.sketches = nn.ModuleList(CountSketch(student_width, dimension) for _ in range(2))
        self.teacher_sketches = nn.ModuleList(CountSketch(width, dimension) for width in self.widths)

    def digest(self, teacher: Tensor) -> tuple[Tensor, ...]:
        """Compute the vertices of all pairs of teachers once."""
        if teacher.size(1) != sum(self.widths):
            raise ValueError(f"'teacher' must hold features of widths {self.widths}, got {teacher.size(1)} columns")
        parts = teacher.split(self.widths, dim=1)
        sketched = [sketch(part) for sketch, part in zip(self.teacher_sketches, parts, strict=True)]
        return tuple(unit_vectors(compact_bilinear(*pair)) for pair in combinations(sketched, 2))

    def forward(self, student: Tensor, teacher: Tensor | tuple[Tensor, ...]) -> Tensor:
        vertices = self.digest(teacher) if isinstance(teacher, Tensor) else teacher
        check_rows(student, vertices[0])
        own = unit_vectors(compact_bilinear(*(sketch(student) for sketch in self.sketches)))
        return torch.stack([mean_discrepancy(own, vertex, self.kernel, self.gamma) for vertex in vertices]).mean()
