from .base import Recommender, check_model
from .bert4rec import BERT4Rec
from .gru4rec import GRU4Rec
from .lightgcn import LightGCN
from .lightgnn import LightGNN
from .mf import MF
from .sasrec import SASRec
from .sequence_view import SequenceView, show_rows
from .sequential import SequentialRecommender, tables_at
from .tables import Tables, frozen, tables_of
from .view import Lists, RecommenderView, show

__all__ = [
    "MF",
    "BERT4Rec",
    "GRU4Rec",
    "LightGCN",
    "LightGNN",
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
