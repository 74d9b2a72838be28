from ._coding import quantise
from .aggregate import average_states
from .client import Client
from .cronus import filtered_mean
from .fedaux import certainty, gaussian_noise_std, private_certainty
from .fedbe import sample_state
from .feddf import clients_kl
from .fedftg import GeneratorTerms, class_shares, fedftg_generator, fedftg_student
from .fedgems import selective_fusion
from .fedmd import LogitMAE, logit_mae
from .fedssd import SelectiveKD, class_credibility, confusion_shares, selective_distillation
from .participant import Participant
from .partition import class_parts, dirichlet_parts
from .rule import Received, Refinement, Rule
from .server import Server

__all__ = [
    "Client",
    "GeneratorTerms",
    "LogitMAE",
    "Participant",
    "Received",
    "Refinement",
    "Rule",
    "SelectiveKD",
    "Server",
    "average_states",
    "certainty",
    "class_credibility",
    "class_parts",
    "class_shares",
    "clients_kl",
    "confusion_shares",
    "dirichlet_parts",
    "fedftg_generator",
    "fedftg_student",
    "filtered_mean",
    "gaussian_noise_std",
    "logit_mae",
    "private_certainty",
    "quantise",
    "sample_state",
    "selective_distillation",
    "selective_fusion",
]
