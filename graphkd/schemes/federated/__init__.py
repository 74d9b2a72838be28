"""Distillation between clients that keep their data: the runner, the methods, and what they are made of."""

from graphkd.schemes.federated.aggregate import average_states, quantise, sample_state
from graphkd.schemes.federated.fedftg import fedftg
from graphkd.schemes.federated.method import Method
from graphkd.schemes.federated.methods import METHODS
from graphkd.schemes.federated.objectives import (
    GeneratorTerms,
    LogitMAE,
    SelectiveKD,
    class_shares,
    clients_kl,
    confusion_shares,
    fedftg_generator,
    fedftg_student,
    logit_mae,
)
from graphkd.schemes.federated.participant import Client, Participant
from graphkd.schemes.federated.partition import class_parts, dirichlet_parts
from graphkd.schemes.federated.rounds import Federation
from graphkd.schemes.federated.server import Server

__all__ = [
    "METHODS",
    "Client",
    "Federation",
    "GeneratorTerms",
    "LogitMAE",
    "Method",
    "Participant",
    "SelectiveKD",
    "Server",
    "average_states",
    "class_parts",
    "class_shares",
    "clients_kl",
    "confusion_shares",
    "dirichlet_parts",
    "fedftg",
    "fedftg_generator",
    "fedftg_student",
    "logit_mae",
    "quantise",
    "sample_state",
]
