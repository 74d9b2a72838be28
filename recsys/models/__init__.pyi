from .base import Recommender, check_model
from .gru4rec import GRU4Rec
from .lightgcn import LightGCN
from .mf import MF
from .sasrec import SASRec
from .sequence_view import SequenceView, show_rows
from .sequential import SequentialRecommender, tables_at
from .tables import Tables, frozen, tables_of
from .view import Lists, RecommenderView, show

__all__ = [
    "MF",
    "GRU4Rec",
    "LightGCN",
    "Lists",
    "Recommender",
    "RecommenderView",
    "SASRec",
    "SequenceView",
    "SequentialRecommender",
    "Tables",
    "check_model",
    "frozen",
    "show",
    "show_rows",
    "tables_at",
    "tables_of",
]
