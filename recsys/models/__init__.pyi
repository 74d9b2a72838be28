from .base import Recommender, check_model
from .lightgcn import LightGCN
from .mf import MF
from .tables import Tables, frozen, tables_of
from .view import Lists, RecommenderView, show

__all__ = [
    "MF",
    "LightGCN",
    "Lists",
    "Recommender",
    "RecommenderView",
    "Tables",
    "check_model",
    "frozen",
    "show",
    "tables_of",
]
