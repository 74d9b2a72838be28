from ._experts import Annealing, RoutedExperts
from .bpr import BPR
from .bridge import Bridge
from .cause import CausalPull
from .cd import CD
from .click_hint import ClickHint
from .clicks import Clicks
from .crossdistil import CrossDistil
from .dcd import DCD, Discrepancy
from .de import DE
from .decay import Decay
from .dllm2rec import DLLM2Rec
from .freqd import FreqD
from .ftd import FTD
from .graphd import GraphD
from .hetcomp import HetComp
from .htd import HTD
from .irrrd import ItemRRD
from .lightgnn import LightGNN
from .log_loss import LogLoss
from .next_item import NextItem
from .pckd import PCKD
from .rating_error import LearnedConfidence, RatingError
from .rcekd import RCEKD
from .rd import RD, RDWeights
from .recbole import RecBoleLoss
from .refine import Refine
from .rocket import Rocket
from .rrd import RRD
from .sequence_kl import SequenceKL
from .slmrec import SLMRec
from .soft_clicks import SoftClicks
from .soft_labels import SoftLabels
from .unkd import UnKD

__all__ = [
    "BPR",
    "CD",
    "DCD",
    "DE",
    "FTD",
    "HTD",
    "PCKD",
    "RCEKD",
    "RD",
    "RRD",
    "Annealing",
    "Bridge",
    "CausalPull",
    "ClickHint",
    "Clicks",
    "CrossDistil",
    "DLLM2Rec",
    "Decay",
    "Discrepancy",
    "FreqD",
    "GraphD",
    "HetComp",
    "ItemRRD",
    "LearnedConfidence",
    "LightGNN",
    "LogLoss",
    "NextItem",
    "RDWeights",
    "RatingError",
    "RecBoleLoss",
    "Refine",
    "Rocket",
    "RoutedExperts",
    "SLMRec",
    "SequenceKL",
    "SoftClicks",
    "SoftLabels",
    "UnKD",
]
