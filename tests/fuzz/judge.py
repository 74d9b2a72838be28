"""Whether one example keeps the rules that ``tests.fuzz`` states."""

from __future__ import annotations

import dataclasses
import linecache
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tests.fuzz.draw import Draw, Kind, reach
from tests.fuzz.subjects import INFINITE, Subject

Rule = Literal["crash", "finite", "value", "bound", "empty"]
ROOT = Path(__file__).parents[2]
OURS = tuple(str(ROOT / room) for room in ("graphkd", "recsys"))
ORDINARY: tuple[tuple[Kind, int], ...] = (
    ("ordinary", 0),
    ("unit", 0),
    ("smallest", 0),
    ("largest", 0),
    *(("crossed", number) for number in range(3)),
    *(("lone", number) for number in range(4)),
    *(("mixed", number) for number in range(12)),
)
MOST = 1e4  # times the usual gradient
# Beyond, a dtype may have no number for a result: half of the largest, or its root where squares are summed in it.
LARGE = {torch.float16: 3e4, torch.bfloat16: 1e18, torch.float32: 1e18, torch.float64: 1e150}
_POWER = 4  # of a square of squares, whose slope has it as a factor
_ROUNDING = 1e-5  # a difference of values
# Relative difference of a value from float64's.
CLOSE = {torch.float16: 0.05, torch.bfloat16: 0.1, torch.float32: 1e-2, torch.float64: 1e-6}


@dataclass(frozen=True)
class Failure:
    """A broken rule and what was seen."""

    rule: Rule
    seen: str


@dataclass(frozen=True)
class Result:
    """Values of an evaluation and the gradients of its leaves."""

    values: list[Tensor]
    slopes: dict[str, Tensor]


def judge(subject: Subject, seed: int, number: int) -> Failure | Literal["refused"] | None:
    """The first broken rule of an example; "refused" where our code says by name what it cannot take."""
    draw = Draw(f"{subject.name}/{seed}/{number}", fixed=subject.sizes())
    try:
        got = evaluate(subject, draw)
    except Exception as error:  # whatever comes is judged
        return "refused" if is_named(error) else Failure("crash", _words(error))
    if draw.wrong is not None:
        return None
    try:
        want = evaluate(subject, draw.again())
    except Exception as error:
        return Failure("crash", f"in float64 alone: {_words(error)}")
    return (
        _not_finite(subject, draw, got, want)
        or _not_empty(subject, draw, got)
        or _not_close(subject, draw, got, want)
        or (None if subject.metric else _too_steep(subject, draw, got, want))
    )


def evaluate(subject: Subject, draw: Draw) -> Result:
    """Run it forward and backward."""
    torch.manual_seed(0)
    values = list(tensors(subject.run(draw)))
    differentiable = [value for value in values if value.requires_grad]
    leaves = {name: leaf for name, leaf in draw.leaves.items() if leaf.requires_grad}
    if not differentiable or not leaves:
        return Result([value.detach() for value in values], {})
    found = torch.autograd.grad(
        differentiable, list(leaves.values()), [_cotangent(value) for value in differentiable], allow_unused=True
    )
    slopes = {name: slope for name, slope in zip(leaves, found, strict=True) if slope is not None}
    return Result([value.detach() for value in values], slopes)


def tensors(found: Any) -> Iterator[Tensor]:
    """All floating-point numbers of a result."""
    if isinstance(found, Tensor):
        if found.is_floating_point():
            yield found
    elif isinstance(found, float):
        yield torch.tensor(found, dtype=torch.float64)
    elif isinstance(found, Mapping):
        yield from tensors(list(found.values()))
    elif isinstance(found, list | tuple):
        for part in found:
            yield from tensors(part)
    elif dataclasses.is_dataclass(found):
        yield from tensors([getattr(found, part.name) for part in dataclasses.fields(found)])


def _cotangent(value: Tensor) -> Tensor:
    if value.dim() == 0:
        return torch.ones_like(value)
    return torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).reshape(value.shape).to(value)


# ---------------------------------------------------------------- crash
def is_named(error: BaseException) -> bool:
    """Whether our own code raises it, of a kind that says what was wrong, and names what it speaks of."""
    if not isinstance(error, ValueError | TypeError | KeyError):
        return False
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    raised = linecache.getline(file, line).strip().startswith("raise")
    arguments = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
    named = re.search(r"'\w+'", str(error)) is not None or bool({*re.findall(r"\w+", str(error))} & {*arguments})
    return file.startswith(OURS) and raised and named


def _words(error: BaseException) -> str:
    ours = [
        f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(OURS)
    ]
    message = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {message} ({ours[-1] if ours else 'not in our code'})"


# ---------------------------------------------------------------- finite, empty
def _not_finite(subject: Subject, draw: Draw, got: Result, want: Result) -> Failure | None:
    found, wanted = (dict(enumerate(result.values)) | result.slopes for result in (got, want))
    for what, other in wanted.items():
        one = found[what]
        allowed = other.isnan() if subject.name not in INFINITE else ~other.isfinite()
        if subject.name not in INFINITE and not bool(other.isfinite().all()):
            return Failure("finite", f"{_name(what)} is {_first(other)} in float64")
        if _largest(other[other.isfinite()]) > LARGE[one.dtype]:
            continue
        bad = ~one.isfinite() & ~allowed
        if bool(bad.any()) and _usual(subject, draw, what, LARGE[one.dtype]) <= LARGE[one.dtype]:
            seen = f"{_first(one)} in {one.dtype}, {float(other[bad][0]):.3g} in float64"
            return Failure("finite", f"{_name(what)} is {seen}")
    return None


def _name(what: str | int) -> str:
    return f"gradient of {what}" if isinstance(what, str) else "value"


def _first(x: Tensor) -> float:
    return float(x[~x.isfinite()][0]) if x.dim() else float(x)


def _not_empty(subject: Subject, draw: Draw, got: Result) -> Failure | None:
    if draw.sizes["rows"] or subject.metric or subject.name.startswith("recsys."):
        return None
    for value in got.values:
        if value.dim() == 0 and float(value) != 0 and subject.name not in INFINITE:
            return Failure("empty", f"value is {float(value):.3g} without rows")
    return None


# ---------------------------------------------------------------- value
def _not_close(subject: Subject, draw: Draw, got: Result, want: Result) -> Failure | None:
    for place, (one, other) in enumerate(zip(got.values, want.values, strict=True)):
        if not one.numel() or not bool((one.isfinite() & other.isfinite()).all()):
            continue
        gap = _largest(one - other)
        rounding = 100 * _eps(draw.narrow) * max(reach(draw.extent)[1], 1.0) ** 2  # of products that cancel
        allowed = CLOSE[draw.narrow] * _largest(other) + max(_ROUNDING, rounding)
        if gap <= allowed or gap <= allowed + 1e-3 * _usual(subject, draw, place, 1e3 * gap, 4):
            continue
        if gap > allowed + 10 * _moved(subject, draw, place, other):
            worst = int((one - other).abs().argmax())
            seen, right = (float(values.flatten()[worst]) for values in (one, other))
            return Failure("value", f"value is {seen:.6g} in {draw.narrow}, {right:.6g} in float64")
    return None


def _moved(subject: Subject, draw: Draw, place: int, value: Tensor) -> float:
    """How far a value moves with the rounding of its inputs."""
    return max(_largest(evaluate(subject, draw.again(shake=shake)).values[place] - value) for shake in range(1, 4))


# ---------------------------------------------------------------- bound
def _too_steep(subject: Subject, draw: Draw, got: Result, want: Result) -> Failure | None:
    for dtype, found in ((draw.narrow, got), (torch.float64, want)):
        for name, slope in found.slopes.items():
            size = _largest(slope[slope.isfinite()])
            if size <= _natural(draw, found):
                continue
            usual = _usual(subject, draw, name, size / MOST)
            if size > MOST * usual:
                return Failure("bound", f"gradient of {name} is {size:.2g} in {dtype}, usually {usual:.2g}")
    return None


def _natural(draw: Draw, found: Result) -> float:
    """The gradient of a value that changes by itself over the smallest thing, or as much as the largest row."""
    small, large = reach(draw.extent)
    value = max((_largest(value[value.isfinite()]) for value in found.values), default=0.0)
    return _POWER * max(value, 1.0) * max(1 / small, large)


def _eps(dtype: torch.dtype) -> float:
    """Of the dtype that sums are kept in."""
    return torch.finfo(torch.promote_types(dtype, torch.float32)).eps


def _usual(subject: Subject, draw: Draw, what: str | int, enough: float, kinds: int | None = None) -> float:
    """The largest entry of a value (a number) or a gradient on ordinary rows; looked for until it is ``enough``."""
    usual = 0.0
    for rows in ORDINARY[:kinds]:
        result = _ordinary(subject, draw, *rows)
        found = None if result is None else result.slopes.get(what) if isinstance(what, str) else result.values[what]
        usual = max(usual, 0.0 if found is None else _largest(found[found.isfinite()]))
        if usual >= enough:
            break
    return usual


def _ordinary(subject: Subject, draw: Draw, kind: Kind, mix: int) -> Result | None:
    """On ordinary rows; None where they are refused."""
    try:
        return evaluate(subject, draw.again(kind=kind, mix=mix, reach=reach(draw.extent)))
    except Exception:  # judged where rows are as given
        return None


def _largest(slope: Tensor) -> float:
    return float(slope.abs().max()) if slope.numel() else 0.0
