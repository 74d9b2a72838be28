"""Several processes: rows gathered from all of them with gradients, and batches shared out among them."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler

from graphkd.core.alone import Alone
from graphkd.core.loaders import steady
from graphkd.core.rng import seeded

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    Processes: TypeAlias = Fabric | Alone


def place() -> tuple[int, int]:
    """Return the rank of this process and the number of all: (0, 1) where ``torch.distributed`` does not run."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


# ---------------------------------------------------------------- rows
def gather_rows(rows: Tensor) -> Tensor:
    """Gather rows of all processes by rank, (n_r, ...) -> (sum n_r, ...); counts may differ. One process gets its own.

    Differentiable: backward sums a row's gradient over the processes. A loss that all processes evaluate on gathered
    rows therefore has, after DDP's mean over processes, the gradient of one process with all rows. Every process must
    call it. O(sum n_r) memory and traffic; a GPU waits for the counts.
    """
    if place()[1] == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def gather_objects(value: Any) -> list[Any]:
    """Gather one small object of every process, by rank."""
    world = place()[1]
    if world == 1:
        return [value]
    found = [None] * world
    dist.all_gather_object(found, value)
    return found


def copy_buffers(module: nn.Module) -> None:
    """Give all processes the buffers of rank 0, such as running means of batches; parameters are equal already."""
    for buffer in module.buffers():
        dist.broadcast(buffer, 0)


def from_first(fabric: Processes, make: Callable[[], Any]) -> Any:
    """Call ``make`` in the first process; return its result, or raise its exception, in all of them."""
    if fabric.world_size == 1:
        return make()
    found: tuple[Any, Exception | None] = (None, None)
    if fabric.is_global_zero:
        try:
            found = make(), None
        except Exception as error:  # the others would wait for it
            found = None, error
    value, wrong = cast("Fabric", fabric).broadcast(found)
    if wrong is not None:
        raise wrong
    return value


class _Gather(torch.autograd.Function):
    """Gather all rows; backward sums gradients over the processes and returns those of a process's own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.counts = _counts(rows)
        return _gather(rows, ctx.counts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.split(ctx.counts)[place()[0]]


def _counts(rows: Tensor) -> list[int]:
    count = torch.tensor([rows.size(0)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(place()[1])]
    dist.all_gather(counts, count)
    return [int(count) for count in counts]


def _gather(rows: Tensor, counts: list[int]) -> Tensor:
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: rows.size(0)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


# ---------------------------------------------------------------- batches
def share(data: Iterable[Any], rank: int, world: int, seed: int) -> Callable[[int], Iterable[Any]]:
    """Divide batches among processes: epoch -> every ``world``-th batch, those of process ``rank``.

    A ``DataLoader`` (PyG's are) collates only these, in an order from ``seed`` and epoch; any other iterable must give
    all processes the same batches. An incomplete last round is filled up with batches of the first. Data that are
    divided already are unchanged: a ``DistributedSampler``, or the result of ``fabric.setup_dataloaders``. Persistent
    workers draw the same numbers as new ones would (``loaders.steady``).
    """
    loader: Any = steady(data, seed + rank)
    divided = _is_wrapped(data) or isinstance(getattr(data, "sampler", None), DistributedSampler)
    if world > 1 and not divided:
        if not isinstance(data, DataLoader) or data.batch_sampler is None:
            return lambda _: _every(data, rank, world)
        loader = copy.copy(loader)
        # A DataLoader refuses assignment; rebuilding PyG's, as Fabric would, takes arguments that they do not keep.
        loader.__dict__["batch_sampler"] = _Share(loader.batch_sampler, rank, world, seed)
        loader._iterator = None  # persistent workers would go on with the old sampler

    def batches(epoch: int) -> Iterable[Any]:
        for name in ("sampler", "batch_sampler"):
            announce = getattr(getattr(loader, name, None), "set_epoch", None)
            if announce is not None:
                announce(epoch)
        return loader

    return batches


def _is_wrapped(data: Any) -> bool:
    """Tell whether data come from ``fabric.setup_dataloaders``, in which case Fabric is loaded."""
    fabric = sys.modules.get("lightning_fabric")
    return fabric is not None and bool(fabric.is_wrapped(data))


def _every(batches: Iterable[Any], rank: int, world: int) -> Iterator[Any]:
    iterator = iter(batches)
    first = current = list(islice(iterator, world))
    while current:
        yield (current + first * world)[rank]
        current = list(islice(iterator, world))


class _Share:
    """Batches of indices of one process; all processes draw the same ones."""

    def __init__(self, sampler: Iterable[Any], rank: int, world: int, seed: int) -> None:
        self.sampler, self.rank, self.world, self.seed = sampler, rank, world, seed

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        with seeded(self.seed + self.epoch):
            return iter(list(_every(self.sampler, self.rank, self.world)))

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.world)  # type: ignore[arg-type]


def default_fabric(device: torch.device) -> Processes:
    """Make the Fabric of all processes under ``torchrun``, elsewhere that of a single process."""
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        world, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        if world > 1:
            from lightning_fabric import Fabric

            return Fabric(devices=local, num_nodes=world // local)
    return Alone(device)
