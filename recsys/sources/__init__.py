"""Where each method's lists come from: drawn for all users at the beginning of an epoch, looked up for a batch."""

from recsys.sources.agreement import RCEKDLists
from recsys.sources.lists import DCDLists, IRRRDLists, RRDLists
from recsys.sources.pairwise import UnKDLists
from recsys.sources.pointwise import CDLists, RDLists, TopLists
from recsys.sources.stages import HetCompLists

__all__ = [
    "CDLists",
    "DCDLists",
    "HetCompLists",
    "IRRRDLists",
    "RCEKDLists",
    "RDLists",
    "RRDLists",
    "TopLists",
    "UnKDLists",
]
