from .cpf import PLP
from .freekd import FreeKD, FreeKDRounds
from .freekd_transfer import Actions, Shown, freekd_objective, freekd_reward, freekd_transfer
from .gfkd_inversion import FakeGraphs, Inversion
from .glnn import GLNNBatches, glnn_distiller
from .nosmog import NOSMOGDistiller, Positioned
from .tinygnn import PAM, TinyGNN, neighbour_distillation, peer_index, sample_in_edges
from .walks import deepwalk, extend_positions, random_walks

__all__ = [
    "PAM",
    "PLP",
    "Actions",
    "FakeGraphs",
    "FreeKD",
    "FreeKDRounds",
    "GLNNBatches",
    "Inversion",
    "NOSMOGDistiller",
    "Positioned",
    "Shown",
    "TinyGNN",
    "deepwalk",
    "extend_positions",
    "freekd_objective",
    "freekd_reward",
    "freekd_transfer",
    "glnn_distiller",
    "neighbour_distillation",
    "peer_index",
    "random_walks",
    "sample_in_edges",
]
