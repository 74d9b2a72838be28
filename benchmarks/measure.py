"""What a call costs: its time, and the memory it takes beyond what was there before."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile

# The profiler prints two lines each time it starts and stops unless told before its first use.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def timed(function: Callable[[], Any], repeats: int = 1, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Seconds of each of ``repeats`` calls, on the wall's clock by default; waits for the GPU where one is in use."""
    seconds = []
    for _ in range(repeats):
        _wait()
        start = clock()
        function()
        _wait()
        seconds.append(clock() - start)
    return seconds


@contextmanager
def counted_steps() -> Iterator[Callable[[], int]]:
    """How many steps all optimisers took since the block began."""
    count = 0

    def add(*_: Any) -> None:
        nonlocal count
        count += 1

    hook = register_optimizer_step_post_hook(add)
    try:
        yield lambda: count
    finally:
        hook.remove()


def peak_memory(function: Callable[[], Any], device: torch.device | str | None = None) -> int:
    """Bytes that one call holds at its worst moment above what was live at its start; its result counts.

    CUDA (the default where there is a GPU): the caching allocator's peak. CPU: every allocation and release of
    torch's allocator, summed in order of time, inside custom operators too; memory asked for and never touched
    counts, what malloc keeps of released blocks does not. Not seen on the CPU: memory that a library (MKL) takes for
    itself, and the release of tensors that were made before, outside any ``peak_memory``.
    """
    if torch.device(device or default_device()).type == "cuda":
        _wait()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        function()
        _wait()
        return torch.cuda.max_memory_allocated() - start
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        function()
    kineto = profiled.profiler
    assert kineto is not None
    assert kineto.kineto_results is not None
    changes = [event for event in kineto.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        live += change.nbytes()
        peak = max(peak, live)
    return peak


def bandwidth(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Bytes a second that the device's memory reads and writes in a copy of half a gigabyte, the best of five."""
    source = torch.ones(1 << 27, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.nbytes / min(timed(lambda: target.copy_(source), 5, clock))


def product_rate(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Floating-point operations a second of a product of square float32 matrices, the best of five."""
    size = 2048 if device.type == "cpu" else 8192
    one = torch.ones(size, size, device=device)
    one @ one
    return 2 * size**3 / min(timed(lambda: one @ one, 5, clock))


def default_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def machine(device: torch.device | str | None = None) -> dict[str, str | int]:
    """What figures were measured on: torch's version, its number of threads, and the name of the device."""
    on_gpu = torch.device(device or default_device()).type == "cuda"
    name = torch.cuda.get_device_name() if on_gpu else _processor()
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": name}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
