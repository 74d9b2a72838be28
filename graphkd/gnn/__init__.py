"""Graph students and procedures: methods that bring their own student, data or schedule."""

from graphkd.gnn.cpf import PLP, cpf
from graphkd.gnn.deepwalk import deepwalk, extend_positions, random_walks
from graphkd.gnn.ff_g2m import ff_g2m
from graphkd.gnn.freekd import FreeKD, FreeKDRounds, freekd
from graphkd.gnn.freekd_transfer import Actions, Shown, freekd_objective, freekd_reward, freekd_transfer
from graphkd.gnn.gfkd import gfkd
from graphkd.gnn.gfkd_inversion import FakeGraphs, Inversion, invert
from graphkd.gnn.glnn import GLNNBatches, glnn, glnn_distiller, hold_out
from graphkd.gnn.metrics import Fidelity, accuracy, fidelity, predict
from graphkd.gnn.nosmog import NOSMOGDistiller, nosmog
from graphkd.gnn.sampling import sample_in_edges
from graphkd.gnn.tinygnn import PAM, TinyGNN, neighbour_distillation, peer_index, tinygnn
from graphkd.losses.perturbation import adversarial_change

__all__ = [
    "PAM",
    "PLP",
    "Actions",
    "FakeGraphs",
    "Fidelity",
    "FreeKD",
    "FreeKDRounds",
    "GLNNBatches",
    "Inversion",
    "NOSMOGDistiller",
    "Shown",
    "TinyGNN",
    "accuracy",
    "adversarial_change",
    "cpf",
    "deepwalk",
    "extend_positions",
    "ff_g2m",
    "fidelity",
    "freekd",
    "freekd_objective",
    "freekd_reward",
    "freekd_transfer",
    "gfkd",
    "glnn",
    "glnn_distiller",
    "hold_out",
    "invert",
    "neighbour_distillation",
    "nosmog",
    "peer_index",
    "predict",
    "random_walks",
    "sample_in_edges",
    "tinygnn",
]
