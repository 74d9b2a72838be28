"""Costs of serving a student, and limits to them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from graphkd.core.hyperparameters import finite_number

_UNITS = {"latency_ms": "ms", "parameters": "parameters", "megabytes": "MB"}


@dataclass(frozen=True)
class Costs:
    """Costs of serving a student.

    latency_ms: median time of a query. parameters: their number. megabytes: size of parameters and buffers, in million
    bytes. form: how a query was answered: "numpy", "torch", and so on.
    """

    latency_ms: float
    parameters: int
    megabytes: float
    form: str


@dataclass(frozen=True)
class Budget:
    """Limit what a student may cost; None is no limit.

    Args:
        latency_ms: largest median time of a query, in milliseconds.
        parameters: largest number of parameters.
        megabytes: largest size of parameters and buffers, in million bytes.

    Raises:
        TypeError: a limit is no number.
        ValueError: a limit is not finite or not above 0.

    Example::

        >>> Budget(latency_ms=0.2).over(Costs(0.5, 100, 0.1, "numpy"))
        '0.5 ms, the budget has 0.2'
    """

    latency_ms: float | None = None
    parameters: int | None = None
    megabytes: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            if finite_number(name, limit) <= 0:
                raise ValueError(f"{name!r} of a budget must be above 0, got {limit}")

    def __str__(self) -> str:
        return ", ".join(f"{name} {limit:g}" for name, limit in self.limits.items()) or "no limit"

    @property
    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by name."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def over(self, costs: Costs) -> str:
        """Describe by what costs exceed the budget; an empty text if they do not."""
        wrong = [name for name, limit in self.limits.items() if not getattr(costs, name) <= limit]
        return "; ".join(
            f"{getattr(costs, name):.6g} {_UNITS[name]}, the budget has {self.limits[name]:.6g}" for name in wrong
        )

    def excess(self, costs: Costs) -> float:
        """Return the largest ratio of a cost to its limit; above 1 if costs exceed the budget."""
        return max((getattr(costs, name) / limit for name, limit in self.limits.items()), default=0.0)
