from .cd import CDLists
from .dcd import DCDLists
from .dllm2rec import DLLM2RecLists
from .hetcomp import HetCompLists
from .irrrd import IRRRDLists
from .pckd import PCKDLists
from .rcekd import RCEKDLists
from .rd import RDLists
from .rrd import RRDLists
from .top import TopLists
from .unkd import UnKDLists

__all__ = [
    "CDLists",
    "DCDLists",
    "DLLM2RecLists",
    "HetCompLists",
    "IRRRDLists",
    "PCKDLists",
    "RCEKDLists",
    "RDLists",
    "RRDLists",
    "TopLists",
    "UnKDLists",
]
