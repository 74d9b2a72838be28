"""What is transferred: every loss is a function on tensors and a class with its knobs, in one file a family."""

from graphkd.core.loss import Loss, Sum
from graphkd.losses.hidden import AT, FitNet, attention_transfer, fitnet
from graphkd.losses.information import GCRD, gcrd
from graphkd.losses.response import (
    BCE,
    CE,
    KL,
    LogitMSE,
    SoftBCE,
    binary_cross_entropy,
    cross_entropy,
    kl,
    logit_mse,
    soft_bce,
)
from graphkd.losses.structure import GSP, LSP, gsp, local_structure, lsp

__all__ = [
    "AT",
    "BCE",
    "CE",
    "GCRD",
    "GSP",
    "KL",
    "LSP",
    "FitNet",
    "LogitMSE",
    "Loss",
    "SoftBCE",
    "Sum",
    "attention_transfer",
    "binary_cross_entropy",
    "cross_entropy",
    "fitnet",
    "gcrd",
    "gsp",
    "kl",
    "local_structure",
    "logit_mse",
    "lsp",
    "soft_bce",
]
