"""Variational self-distillation (VSD): a bottleneck's code retains what the label needs."""

from typing import Literal, Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_same_shape, choose
from graphkd.losses.response.kd import kl

Form = Literal["paper", "code"]


def vsd(student: Tensor, teacher: Tensor, temperature: float = 1.0, *, form: Form = "paper") -> Tensor:
    """Compute KL(observation's prediction || code's prediction): (N, C), (N, C) logits -> scalar; see ``VSD``.

    Example::

        >>> code, observation = torch.tensor([[1.0986, 0.0]]), torch.zeros(1, 2)  # (3/4, 1/4) and (1/2, 1/2)
        >>> round(float(vsd(code, observation)), 3)  # log(2 / sqrt(3))
        0.144
    """
    choose("form", form, ("paper", "code"))
    if form == "paper":
        return kl(student, teacher.detach(), temperature, rescale=False)
    check_same_shape(student, teacher)
    s, t = (logits.to(accumulation_dtype(logits)) / temperature for logits in (student, teacher.detach()))
    log_code = s.log_softmax(dim=-1)
    return (log_code.exp() * (log_code - t.softmax(dim=-1))).sum() / max(log_code.numel(), 1)


class VSD(Loss):
    """Keep in a bottleneck's code what the label needs: self-distillation. Tian et al., CVPR 2021 (VSD).

    mean_i KL(softmax(v_i / T) || softmax(z_i / T)); student: z (N, C), logits predicted from the code; teacher: v
    (N, C), logits predicted from the observation that the code compresses, by a branch of the same network. The loss
    detaches v; train both branches on the labels too. ``form="code"`` is what the authors' code computes, for
    comparison only: mean_ik p_z (log p_z - p_v).

    Example::

        >>> code, observation = torch.zeros(1, 2), torch.zeros(1, 2, requires_grad=True)
        >>> VSD()(code, observation)  # no gradient reaches the observation
        tensor(0.)
        >>> round(float(VSD(form="code")(code, observation)), 3)  # (log 1/2 - 1/2) / 2, not 0
        -0.597
        >>> loss = graphkd.losses.CE(where="train_mask") + VSD(temperature=1.0)
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """

    answers = "classes"

    def __init__(self, temperature: float = 1.0, *, form: Form = "paper", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)
        self.form = choose("form", form, ("paper", "code"))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return vsd(student, teacher, self.temperature, form=self.form)


@method(
    "vsd", family="information", paper="Tian et al., CVPR 2021", arxiv="2104.02862", survey=(68,), tasks=("classes",)
)
def vsd_method(problem: Problem, *, weight: float = 1.0, temperature: float = 1.0) -> Loss:
    """Bring the classes that the student predicts to those of the teacher, its observation, beside the labels.

    Choose it where the student predicts from a narrow code of the teacher's input; between two models it equals soft
    targets without the factor of the squared temperature.
    """
    return problem.supervised() + weight * VSD(temperature)
