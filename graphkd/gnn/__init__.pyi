from .cpf import PLP
from .ehdm_heuristics import Heuristic
from .freekd import FreeKD, FreeKDRounds
from .freekd_transfer import Actions, Shown, freekd_objective, freekd_reward, freekd_transfer
from .gfkd_inversion import FakeGraphs, Inversion
from .glnn import GLNNBatches, glnn_distiller
from .llp_predictor import LinkPredictor
from .mugsi_student import MuGSIStudent
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
    "Heuristic",
    "Inversion",
    "LinkPredictor",
    "MuGSIStudent",
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
