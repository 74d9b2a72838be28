from .batches import RankingBatches
from .interactions import Interactions, Split
from .ratings import Ratings, UniformSplit
from .rows import Field, RowBatches, Rows

__all__ = ["Field", "Interactions", "RankingBatches", "Ratings", "RowBatches", "Rows", "Split", "UniformSplit"]
