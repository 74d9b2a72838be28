from .cpf import PLP, cpf
from .deepwalk import deepwalk, extend_positions, random_walks
from .ff_g2m import ff_g2m
from .freekd import FreeKD, FreeKDRounds, freekd
from .freekd_transfer import Actions, Shown, freekd_objective, freekd_reward, freekd_transfer
from .gfkd import gfkd
from .gfkd_inversion import FakeGraphs, Inversion, invert
from .glnn import GLNNBatches, glnn, glnn_distiller
from .nosmog import NOSMOGDistiller, nosmog
from .sampling import sample_in_edges
from .tinygnn import PAM, TinyGNN, neighbour_distillation, peer_index, tinygnn

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
    "Shown",
    "TinyGNN",
    "cpf",
    "deepwalk",
    "extend_positions",
    "ff_g2m",
    "freekd",
    "freekd_objective",
    "freekd_reward",
    "freekd_transfer",
    "gfkd",
    "glnn",
    "glnn_distiller",
    "invert",
    "neighbour_distillation",
    "nosmog",
    "peer_index",
    "random_walks",
    "sample_in_edges",
    "tinygnn",
]
