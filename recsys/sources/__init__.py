"""Where each method's lists come from: drawn for all users at the beginning of an epoch, looked up for a batch."""

from recsys.sources.lists import DCDLists, IRRRDLists, RRDLists
from recsys.sources.pairwise import UnKDLists
from recsys.sources.pointwise import CDLists, RDLists, TopLists

__all__ = ["CDLists", "DCDLists", "IRRRDLists", "RDLists", "RRDLists", "TopLists", "UnKDLists"]
