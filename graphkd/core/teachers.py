"""Teachers: anything that turns a batch into a view without being trained by the student's optimiser."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.fingerprint import graph_fingerprint, model_fingerprint
from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.store import Store, write
from graphkd.core.view import Batch, Call, View, Viewer, fill, names


class Frozen:
    """A trained model as teacher: always ``eval()`` and ``no_grad``, in nobody's ``parameters()`` or ``state_dict()``.

    ``call(model, batch)`` replaces the by-name call of the model. A view with NaN or infinite entries raises
    ValueError when the first batch is seen.
    """

    def __init__(self, model: nn.Module, *, call: Call | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"'model' must be an nn.Module, got {type(model).__name__}")
        self.model = model.eval()
        self.call = call
        self._viewer = Viewer(model, call=call)
        self._checked = False

    def attach(self, taps: Mapping[str, str]) -> None:
        """Tap hidden layers by name; the Distiller calls this."""
        self._viewer.close()
        self._viewer = Viewer(self.model, taps=taps, call=self.call)

    def close(self) -> None:
        """Remove the taps."""
        self._viewer.close()

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast the teacher, as ``nn.Module.to`` does with sub-modules."""
        self.model._apply(function)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0; a teacher that changes overrides it."""

    def kept(self) -> nn.Module | None:
        """What of this teacher changes in a run and so belongs to the run's state; None for a frozen one."""
        return None

    @torch.no_grad()
    def __call__(self, batch: Batch) -> View:
        """Show this teacher's view of a batch."""
        if self.model.training:
            self.model.eval()
        view = self._viewer(batch)
        if not self._checked:
            _check_finite(view)
            self._checked = True
        # A model may show its own parameters, which require gradients even here.
        return {name: tensor.detach() for name, tensor in view.items()} if isinstance(view, dict) else view

    @torch.no_grad()
    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """What ``loss`` needs of this teacher's view."""
        return loss.digest_view(view, batch)


class Cached(Frozen):
    """A frozen teacher whose view of one graph is computed once, with all that a loss derives from it alone.

    ``data`` is the whole graph; without it the first batch is taken for it. Batches with ``n_id`` (PyG's
    neighbour samplers) get those rows of the view, by node id and never by position; another batch without
    ``n_id`` raises ValueError. Wrong under random feature transforms, which a stored view cannot see: use
    ``Frozen`` there. The view is computed outside autocast, whoever asks for it.

    ``path`` keeps the view in a folder on disk (see ``Store``): made when it is not there, memory-mapped, of which
    ``n_id`` reads its rows only. ``data`` may then be a loader that goes through all nodes, with ``n_id``; of a batch
    with ``batch_size`` only the seeds' rows are kept. ``dtype`` (float16, bfloat16, float32) is that on disk, by
    default the teacher's own, in which rows are shown in any case. ValueError where the store is damaged, or was made
    by another teacher (class or state of a sub-module), from another graph (what the teacher's ``forward`` reads;
    with ``call``, all that ``data`` holds) or with other taps. What ``call`` does and how a loader samples cannot be
    noticed. Opening a store reads all of it, the graph and the teacher's state once: about a second per gigabyte. Of
    several processes that find none each makes one, and the first to finish stays.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Batch | Iterable[Batch] | None = None,
        *,
        call: Call | None = None,
        path: str | Path | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(model, call=call)
        if dtype not in (None, torch.float16, torch.bfloat16, torch.float32):
            raise ValueError(f"'dtype' must be torch.float16, torch.bfloat16 or torch.float32, got {dtype}")
        if path is None and (dtype is not None or (data is not None and names(data) is None)):
            what = f"dtype={dtype}" if dtype is not None else f"a {type(data).__name__} as 'data'"
            raise ValueError(f"{what} is for a store on disk: give 'path', got None")
        self.data: Any = data
        self.path = None if path is None else Path(path)
        self.dtype = dtype
        self._taps: dict[str, str] = {}
        self._view: dict[str, Tensor] | None = None
        self._store: Store | None = None
        self._known: set[tuple] = set()
        self._digests: weakref.WeakKeyDictionary[Loss, Any] = weakref.WeakKeyDictionary()

    def attach(self, taps: Mapping[str, str]) -> None:
        """Tap hidden layers by name; what was kept in memory is computed anew."""
        super().attach(taps)
        self._taps = dict(taps)
        self._forget()

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast the teacher; what was kept in memory is computed anew."""
        super().apply_to_tensors(function)
        self._forget()

    def _forget(self) -> None:
        self._view = self._store = None
        self._digests.clear()

    def __call__(self, batch: Batch) -> View:
        """Show the stored view, or its rows ``n_id``."""
        if "n_id" in batch:
            if self.data is None:
                raise ValueError("a batch with 'n_id' is a part of a graph: give the whole, Cached(model, data)")
            rows = batch["n_id"]
            if self.path is not None:
                return self._opened(self.path).rows(rows)
            return {name: tensor[rows.to(tensor.device)] for name, tensor in self._whole().items()}
        if self.data is None:
            self.data = batch
        if not self._is_whole(batch):
            raise ValueError(
                f"the Cached teacher was computed on another batch than this one, which has {names(batch)}; {_NO_IDS}; "
                "for another graph, use Frozen"
            )
        return self._whole()

    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """What ``loss`` needs of this teacher; on the whole graph it is computed once for the rows it is about."""
        if "n_id" in batch:
            return super().digest(loss, view, batch)
        return kept_digest(self._digests, loss, batch, lambda: super(Cached, self).digest(loss, view, batch))

    def _whole(self) -> dict[str, Tensor]:
        """The view of all nodes, in memory."""
        if self._view is None:
            with seeded(0):  # whenever it is computed, a run draws the same afterwards
                kept = self._compute(self.data) if self.path is None else self._opened(self.path).whole()
            self._view = {name: rows.to(self._device()) for name, rows in kept.items()}
        return self._view

    def _device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def _compute(self, batch: Batch) -> View:
        device = self._device()
        given = {name: _moved(batch[name], device) for name in names(batch) or ()} if self.call is None else batch
        with torch.autocast(device.type, enabled=False):
            return super().__call__(given)

    def _opened(self, path: Path) -> Store:
        """The store at ``path``, made if it is not there, once it has been found to be this teacher's."""
        if self._store is None:
            graph = graph_fingerprint(self.data, None if self.call else self._viewer._wanted)
            key = {"teacher": model_fingerprint(self.model), "graph": graph, "taps": self._taps}
            if not path.exists() or (path.is_dir() and not any(path.iterdir())):
                with seeded(0):  # a loader draws: a run that makes the store is to go as one that finds it
                    write(path, self._parts(), key, self.dtype)
            store = Store(path)
            _check_key(store, key, self.dtype)
            self._store = store
        return self._store

    def _parts(self) -> Iterator[tuple[Tensor | None, View]]:
        """What a store is written from: the view of the graph, or row ids and views of a loader's batches."""
        if names(self.data) is not None:
            yield None, self._compute(self.data)
            return
        for batch in self.data:
            if "n_id" not in batch:
                raise ValueError(f"a store needs to know whose rows a batch has, which has {names(batch)}; {_NO_IDS}")
            view, ids = self._compute(batch), batch["n_id"]
            _check_ids(view, ids)
            kept = slice(int(batch["batch_size"]) if "batch_size" in batch else None)
            yield ids[kept], {name: rows[kept] for name, rows in view.items()}

    def _is_whole(self, batch: Batch) -> bool:
        """Whether a batch holds the same inputs as the graph that was stored; compared once per set of tensors."""
        if batch is self.data:
            return True
        held = names(self.data)
        if held is None:  # a loader
            return False
        if self.call is None:  # labels and masks, which a task may give another form, do not change the view
            held = [name for name in held if name in self._viewer._wanted]
        held = [name for name in held if name != "n_id" and isinstance(self.data[name], Tensor)]
        if not all(name in batch for name in held):
            return False
        pairs = [(batch[name], self.data[name]) for name in held]
        key = tuple((tensor.data_ptr(), tuple(tensor.shape)) for tensor, _ in pairs)
        if key not in self._known:
            if not all(_equal(one, other) for one, other in pairs):
                return False
            self._known.add(key)
        return True


def frozen(teacher: nn.Module | Frozen, call: Call | None = None) -> Frozen:
    """A teacher as it is, a model as one that is asked at every batch."""
    return teacher if isinstance(teacher, Frozen) else Frozen(teacher, call=call)


def cached(teacher: nn.Module | Frozen, data: Batch) -> Frozen:
    """A teacher as it is, a model as one that is asked about the whole graph once."""
    return teacher if isinstance(teacher, Frozen) else Cached(teacher, data)


_NO_IDS = (
    "for a part of a graph, give the batch its node ids as 'n_id' (data.n_id = torch.arange(data.num_nodes) before the "
    "loader is made)"
)


def kept_digest(kept: MutableMapping[Loss, Any], loss: Loss, batch: Batch, compute: Callable[[], Any]) -> Any:
    """The digest kept for a loss, computed anew where ``where`` selects other rows than those it was computed for."""
    rows = None
    if loss.where is not None and loss.where != "seed":
        rows = fill([name := loss.where.removeprefix("~")], batch, f"where={loss.where!r}")[name]
    if loss not in kept or not (rows is None or _equal(kept[loss][0], rows)):
        kept[loss] = rows, compute()
    return kept[loss][1]


def _equal(one: Tensor, other: Tensor) -> bool:
    same = one.data_ptr() == other.data_ptr() and one.shape == other.shape
    return same or torch.equal(one.cpu(), other.cpu())


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _check_ids(view: View, ids: Tensor) -> None:
    if ids.numel() and int(ids.min()) < 0:
        raise ValueError(f"'n_id' must not be negative, got {int(ids.min())}")
    for name, rows in view.items():
        if rows.dim() == 0 or rows.size(0) != ids.size(0):
            raise ValueError(
                f"to be stored by row, the teacher's {name!r} must have a row for each of the {ids.size(0)} 'n_id' of "
                f"a batch, got {tuple(rows.shape)}"
            )


def _check_key(store: Store, key: Mapping[str, Any], dtype: torch.dtype | None) -> None:
    """ValueError that says in what a store is another's; it may hold more tapped layers than are needed."""
    taps = store.key["taps"]
    wrong = {
        "by a teacher of other classes or another state": store.key["teacher"] != key["teacher"],
        "from another graph": store.key["graph"] != key["graph"],
        f"with taps {taps}, not {key['taps']}": any(taps.get(name) != path for name, path in key["taps"].items()),
        f"with another dtype than {dtype}": dtype is not None and store.stored_dtypes() - {dtype},
    }
    found = [reason for reason, is_so in wrong.items() if is_so]
    if found:
        raise ValueError(
            f"the store at {str(store.path)!r} was made {' and '.join(found)}; remove the folder and it is made anew, "
            "or give another 'path'"
        )


def _check_finite(view: View) -> None:
    for name, tensor in view.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise ValueError(
                f"the teacher's {name!r} must be finite, got {bad} NaN or infinite of {tensor.numel()} entries"
            )
