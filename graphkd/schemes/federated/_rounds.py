"""The methods by name: each says what its clients send, what the server makes of it, and when you would choose it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL
from graphkd.losses.response.nckd import NCKD
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.certainty import certainty
from graphkd.schemes.federated.aggregate import quantise
from graphkd.schemes.federated.method import Message, Method, labels, stack
from graphkd.schemes.federated.objectives import LogitMAE, SelectiveKD, confusion_shares
from graphkd.schemes.federated.participant import Participant
from graphkd.schemes.federated.server import Server
from graphkd.schemes.weights import Average, entropy_reduction, selective_fusion, soft_target, trimmed_mean

_LEAST = 1e-12  # a probability of 0 over the wire


def fedavg() -> Method:
    """Clients' weights, averaged. Choose it for one architecture and labels alike; it needs no public rows."""
    return Method()


def _mean(answers: Tensor, _: Server, *, average: Average) -> Tensor:
    return soft_target(answers, average=average)


def feddf(average: Average = "logits") -> Method:
    """FedAvg for each architecture, then all clients' mean distilled into each. Lin et al., NeurIPS 2020.

    Choose it for weights that may be sent, architectures that differ and unlabelled public rows; it converges in fewer
    rounds. ``average``: of "logits", the paper's, or "probabilities", their code's option: choose that where clients
    lack classes and architectures differ, since the logits of the most overfitted model, several times as large as
    others', else outweigh all. The authors' local self-distillation is not here: their code throws its value away.
    """
    return Method(fuse=partial(_mean, average=average), server=KL())


def fedaux() -> Method:
    """FedDF, each client weighted row by row by its ``certainty``. Sattler et al., TNNLS 2021, arXiv:2102.02514.

    Choose it over FedDF where clients' inputs differ, and each knows about another part of the public rows. Certainties
    are of the features ``x`` themselves, without the pretrained extractor, and without noise: they are not private.
    """
    fuse = lambda answers, server: soft_target(  # noqa: E731
        answers, weights=stack(server.messages, "certainty"), average="logits"
    )
    return Method(fuse=fuse, server=KL(), tell=_certainty)


def _certainty(participant: Participant) -> Message:
    assert participant.public is not None
    x = participant.public["x"]
    return {"certainty": certainty(participant.client.data["x"], x).scores(x)}


def fedbe(samples: int = 10) -> Method:
    """FedAvg distilled from the clients, the average, and models drawn around them. Chen and Chao, ICLR 2021.

    Choose it over FedDF for one architecture and few clients: more teachers, a steadier target. arXiv:2009.01974. The
    student's weights are not averaged over its steps (SWA), as the authors' are.
    """
    fuse = lambda answers, _: soft_target(answers)  # noqa: E731
    return Method(fuse=fuse, server=KL(reduction="elementmean"), samples=samples)


def fedgkd(gamma: float = 0.2, history: int = 5) -> Method:
    """Clients keep to the mean of the last global models, CE + gamma / 2 KL. Yao et al., 2021, arXiv:2107.00051.

    Choose it where FedAvg's clients drift apart and there are no public rows.
    """
    return Method(local=lambda own, known: labels(own, known) + gamma / 2 * KL(), history=history)


def fedntd(beta: float = 1.0, temperature: float = 1.0) -> Method:
    """Clients keep what the global model says of classes other than the label. Lee et al., NeurIPS 2022.

    Choose it over FedGKD where clients lack whole classes, which they else forget. arXiv:2106.03097.
    """

    def local(participant: Participant, known: nn.Module) -> Loss:
        hard = labels(participant, known)
        return hard + beta * NCKD(temperature, where=hard.where)

    return Method(local=local)


def fedssd(weight: float = 1.0, *, by_row: bool = True) -> Method:
    """Clients keep to the global model's logits as far as it is right. He et al., IEEE Trans. Big Data 2022.

    Choose it over FedNTD where the server has labelled public rows to tell which classes the global model knows; of
    those ``SelectiveKD`` gets its confusion. ``by_row=False`` is ``fedcad``.
    """

    def local(participant: Participant, known: nn.Module) -> Loss:
        hard, public = labels(participant, known), participant.public
        if public is None or "y" not in public:
            raise ValueError("this method needs labelled public rows: give 'public' with 'y'")
        confusion = confusion_shares(Frozen(known)(public)["logits"], public["y"])
        return hard + weight * SelectiveKD(confusion, by_row=by_row, where=hard.where)

    return Method(local=local)


def fedmd(average: Average = "logits") -> Method:
    """Clients digest the mean of all logits on public rows. Li and Wang, 2019, arXiv:1910.03581.

    Choose it where weights must not leave the clients or cannot be averaged. The paper's clients first learn labelled
    public rows, which makes their logits alike, and revisit their own data at the very end; here they end with the
    digest. ``average="probabilities"``, not the paper's, is the logarithm of the mean probabilities: see ``feddf``.
    """
    return Method("answers", fuse=partial(_mean, average=average), client=LogitMAE())


def era(temperature: float = 0.1) -> Method:
    """FedMD with sharpened mean probabilities and cross-entropy (DS-FL). Itahara et al., TMC 2021, arXiv:2008.06180.

    Choose it over FedMD where labels are so skewed that plain means say little. The server's model is left to you.
    """
    return Method("answers", fuse=lambda answers, _: entropy_reduction(answers, temperature), client=SoftCE())


def cronus(trim: int = 1) -> Method:
    """FedMD with a mean that leaves out the extremes. Chang et al., 2019, arXiv:1912.11279.

    Choose it where a client may lie. A trimmed mean takes the place of their estimator; its rows are made to sum to 1.
    Their clients learn own and public rows together, here one after the other.
    """

    def robust(answers: Tensor, _: Server) -> Tensor:
        return trimmed_mean(answers.softmax(dim=-1), trim).clamp_min(_LEAST).log()

    return Method("answers", fuse=robust, client=SoftCE())


def _coded(answers: Tensor, bits: int) -> Tensor:
    return quantise(answers.softmax(dim=-1), bits).clamp_min(_LEAST).log()


def cfd(bits: int = 1) -> Method:
    """Soft labels in few bits, up and down; the server's model learns them and returns its own. Sattler et al., 2021.

    Choose it where a round must cost little: N C numbers become at most N bits C bits. arXiv:2012.00632. Changes
    alone are not coded (their delta code), and all public rows are sent in every round.
    """
    mean = lambda answers, _: soft_target(answers)  # noqa: E731
    coded = partial(_coded, bits=bits)
    return Method("answers", fuse=mean, server=KL(), client=KL(), returns_server=True, encode=coded)


def mhat() -> Method:
    """The server's model learns the clients' answers, and clients learn its. Hu et al., 2021.

    Choose it over FedMD where the server can afford a model of its own, better than a mean. Details are unknown to us.
    """
    mean = lambda answers, _: soft_target(answers)  # noqa: E731
    return Method("answers", fuse=mean, server=KL(), client=KL(), returns_server=True)


def fedgems() -> Method:
    """A large server model, taught on labelled public rows by those that are right. Cheng et al., 2021.

    Choose it over MHAT where public rows have labels. The target is ``selective_fusion``'s; clients learn the server's
    answers. arXiv:2110.11027; how the paper weights its terms is unknown to us.
    """

    def fused(answers: Tensor, server: Server) -> Tensor:
        public, model = server.public, server.model
        if public is None or "y" not in public or model is None:
            raise ValueError("this method needs labelled public rows: give 'public' with 'y', and 'server'")
        return selective_fusion(server.answer(model), answers, public["y"]).clamp_min(-30)  # e^-30: no infinity

    return Method("answers", fuse=fused, server=SoftCE() + CE(), client=KL(), returns_server=True)


METHODS: dict[str, Callable[[], Method]] = {
    "fedavg": fedavg,
    "feddf": feddf,
    "feddf-probabilities": partial(feddf, "probabilities"),
    "fedaux": fedaux,
    "fedbe": fedbe,
    "fedgkd": fedgkd,
    "fedntd": fedntd,
    "fedssd": fedssd,
    "fedcad": partial(fedssd, by_row=False),
    "fedmd": fedmd,
    "fedmd-probabilities": partial(fedmd, "probabilities"),
    "era": era,
    "cronus": cronus,
    "cfd": cfd,
    "mhat": mhat,
    "fedgems": fedgems,
}
