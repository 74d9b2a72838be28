"""Cross-image relations (CIRKD): similarities of nodes to those of other graphs, of a batch and of a memory."""

from typing import Unpack

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import product_kl
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._batch_norm import BatchNorm
from graphkd.losses._checks import check_rows, check_same_shape, row_ids
from graphkd.losses._projector import Linear


def cirkd(student: Tensor, teacher: Tensor, temperature: float = 0.1) -> Tensor:
    """Compare cosines of nodes with the nodes of each graph by KL: (B, P, d_s), (B, P, d_t) -> scalar; see ``CIRKD``.

    Example::

        >>> uniform = torch.ones(2, 2)  # both nodes are equally similar to both
        >>> round(float(cirkd(torch.eye(2), uniform, temperature=1.0)), 3)  # KL of (0.5, 0.5) and (0.731, 0.269)
        0.12
    """
    check_rows(student, teacher)
    graphs, nodes = (1, student.size(0)) if student.dim() == 2 else student.shape[:2]
    s, t = (unit_vectors(x).reshape(graphs * nodes, x.size(-1)) for x in (student, teacher))
    return product_kl(s, s, t, t, 1 / temperature, max(graphs, 1)).sum() / max(graphs**2 * nodes, 1)


class CIRKD(Loss):
    """Match the similarities of each node to the nodes of every graph. Yang et al., CVPR 2022 (CIRKD).

    1/B^2 sum_ij mean_p KL(softmax_q(t_ip . t_jq / tau) || softmax_q(s_ip . s_jq / tau)) of unit vectors, nodes p and q
    of graphs (or groups of nodes) i and j; student: (B, P, d_s), teacher: (B, P, d_t), or (N, d): a single graph. No
    tau^2. The authors' weight is 1, P the pixels of an image. O((B P)^2 d) time in blocks, no matrix of all pairs.

    Example::

        >>> x = torch.randn(2, 4, 5)  # 2 graphs of 4 nodes
        >>> abs(round(float(CIRKD()(3 * x, x)), 3))  # invariant to scale
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + CIRKD(temperature=0.1)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, temperature: float = 0.1, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return cirkd(student, teacher, self.temperature)


def cirkd_memory(
    student: Tensor, teacher: Tensor, memory: Tensor, temperature: float = 0.1, kd_temperature: float = 1.0
) -> Tensor:
    """Compare each node's cosines with a memory by KL: (N, d), (N, d), (K, d) unit rows -> scalar; see ``CIRKDMemory``.

    T^2 mean_i KL(softmax_k(t_i . m_k / (tau T)) || softmax_k(s_i . m_k / (tau T))).

    Example::

        >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
        >>> memory = torch.eye(2)  # of two nodes, equally similar to the teacher's row
        >>> round(float(cirkd_memory(student, teacher, memory, temperature=1.0)), 3)  # KL of (0.5, 0.5), (0.73, 0.27)
        0.12
    """
    check_same_shape(student, teacher, "; CIRKDMemory(num_nodes, student_width, teacher_width) has a head")
    if memory.size(1) != student.size(1):
        raise ValueError(f"'memory' must be as wide as 'student' ({student.size(1)}), got {memory.size(1)}")
    s, t = unit_vectors(student), unit_vectors(teacher)
    memory = memory.to(s.dtype)
    values = product_kl(s, memory, t, memory, 1 / (temperature * kd_temperature))
    return values.sum() * kd_temperature**2 / max(values.size(0), 1)


class CIRKDMemory(Loss):
    """Match the similarities of each node to a memory of the teacher's embeddings. Yang et al., CVPR 2022 (CIRKD).

    ``cirkd_memory`` against K = ``samples`` rows of a memory, drawn at each step. The memory (num_nodes, d_t) is a
    buffer, at first of random unit vectors; each training step writes the teacher's embeddings into its rows ``n_id``
    (without it, all nodes in order) and then draws. student: (N, d_s), mapped to the teacher's width by a head (linear,
    batch norm, ReLU, linear, without biases); teacher: (N, d_t). The authors have queues of 4096 pixels and 1024
    regions per class, each with weight 0.1; we store all nodes by id, and no regions. O(N K d) time in blocks.

    Example::

        >>> loss = CIRKDMemory(data.num_nodes, student_width=12, teacher_width=4, samples=16)
        >>> value = loss(torch.randn(2, 12), torch.ones(2, 4), n_id=torch.tensor([7, 5]))
        >>> loss.memory[7].tolist()  # the teacher's row of node 7 at length 1
        [0.5, 0.5, 0.5, 0.5]
        >>> settings = {"hidden": "convs.0", "samples": 16, "epochs": 2, "progress": False}
        >>> result = graphkd.distil("cirkd_memory", student, teacher, data, **settings)
    """

    on = "hidden"
    rows = ("n_id",)
    memory: Tensor

    def __init__(
        self,
        num_nodes: int,
        student_width: int,
        teacher_width: int,
        *,
        samples: int = 4096,
        temperature: float = 0.1,
        kd_temperature: float = 1.0,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.samples, self.temperature, self.kd_temperature = samples, temperature, kd_temperature
        self.head = nn.Sequential(
            Linear(student_width, teacher_width, bias=False),
            BatchNorm(teacher_width),
            nn.ReLU(),
            Linear(teacher_width, teacher_width, bias=False),
        )
        self.register_buffer("memory", unit_vectors(torch.randn(num_nodes, teacher_width)))

    def forward(self, student: Tensor, teacher: Tensor, *, n_id: Tensor | None = None) -> Tensor:
        check_rows(student, teacher)
        nodes, width = self.memory.shape
        if teacher.size(1) != width:
            raise ValueError(f"'teacher' must be as wide as the memory ({width}), got {teacher.size(1)}")
        ids = row_ids(n_id, teacher.size(0), nodes, teacher.device)
        if self.training:
            with torch.no_grad():
                self.memory.index_copy_(0, ids, unit_vectors(teacher).to(self.memory.dtype))
        drawn = self.memory[torch.randperm(nodes, device=student.device)[: self.samples]]
        return cirkd_memory(self.head(student), teacher, drawn, self.temperature, self.kd_temperature)


@method(
    "cirkd",
    family="relations",
    paper="Yang et al., CVPR 2022",
    arxiv="2204.06986",
    survey=(62,),
    tasks=("rows",),
    needs=("hidden",),
)
def cirkd_method(problem: Problem, *, weight: float = 1.0, temperature: float = 0.1) -> Loss:
    """Match how every node's likeness spreads over all nodes, beside the labels.

    Choose it where nearest nodes matter most: at a low temperature each row is a distribution over the few most similar
    nodes.
    """
    return problem.supervised() + weight * CIRKD(temperature)


@method(
    "cirkd_memory",
    family="relations",
    paper="Yang et al., CVPR 2022",
    arxiv="2204.06986",
    survey=(62,),
    needs=("hidden",),
)
def cirkd_memory_method(problem: Problem, *, weight: float = 0.1, samples: int = 4096) -> Loss:
    """Match how every node's likeness spreads over a memory of the teacher's rows, beside the labels.

    Choose it over ``cirkd`` with a loader, where one batch has few of the nodes; a head maps the student to the
    teacher's width.
    """
    return problem.supervised() + weight * CIRKDMemory(problem.nodes, *problem.widths, samples=samples)
