"""Losses between recommenders: each a function on scores or embedding tables and a class with its knobs."""

from recsys.losses.experts import DE, Annealing, RoutedExperts, route, routed
from recsys.losses.heterogeneous import HetComp, hetcomp_overall, hetcomp_rank, list_ndcg, stage_discrepancy
from recsys.losses.lists import DCD, RRD, Discrepancy, rank_discrepancy, rrd
from recsys.losses.pairwise import BPR, UnKD, bpr, unkd
from recsys.losses.pointwise import CD, RD, LogLoss, RDWeights, cd, log_loss, rd, rd_weights
from recsys.losses.topology import FTD, HTD, ftd, htd

__all__ = [
    "BPR",
    "CD",
    "DCD",
    "DE",
    "FTD",
    "HTD",
    "RD",
    "RRD",
    "Annealing",
    "Discrepancy",
    "HetComp",
    "LogLoss",
    "RDWeights",
    "RoutedExperts",
    "UnKD",
    "bpr",
    "cd",
    "ftd",
    "hetcomp_overall",
    "hetcomp_rank",
    "htd",
    "list_ndcg",
    "log_loss",
    "rank_discrepancy",
    "rd",
    "rd_weights",
    "route",
    "routed",
    "rrd",
    "stage_discrepancy",
    "unkd",
]
