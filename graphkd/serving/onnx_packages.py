"""Packages of the extra ``onnx``: imported by name at first use, with their messages silenced."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def needed(name: str) -> Any:
    """Import a package of the extra ``onnx``; an ImportError names the extra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"ONNX needs the package {name}: pip install 'graphkd[onnx]'") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the messages of torch, onnxscript and ONNX Runtime."""
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
