from .exported import export
from .fetched import answer_fetched, check_fetched
from .forms import Form
from .neighbourhoods import Neighbourhood, Neighbourhoods
from .numpy_mlp import NumpyMLP
from .timing import Latency, latencies, latency

__all__ = [
    "Form",
    "Latency",
    "Neighbourhood",
    "Neighbourhoods",
    "NumpyMLP",
    "answer_fetched",
    "check_fetched",
    "export",
    "latencies",
    "latency",
]
