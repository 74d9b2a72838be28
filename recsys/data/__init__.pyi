from .batches import RankingBatches
from .interactions import Interactions, Split
from .ranked import Ranked
from .ratings import Ratings, UniformSplit
from .rows import Field, RowBatches, Rows
from .sequence_batches import SequenceBatches
from .sequence_rows import SequenceRows, SequenceSplit
from .sequences import Sequences
from .tabular import read_interactions

__all__ = [
    "Field",
    "Interactions",
    "Ranked",
    "RankingBatches",
    "Ratings",
    "RowBatches",
    "Rows",
    "SequenceBatches",
    "SequenceRows",
    "SequenceSplit",
    "Sequences",
    "Split",
    "UniformSplit",
    "read_interactions",
]
