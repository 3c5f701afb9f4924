"""Puts the weights of a file into a module without copying them: the file stays mapped, its pages are the weights.

All processes of a node that serve one model share those pages, and a load costs no time per byte. Pages are private to
a process once it writes to them; nothing is ever written to the file. A tensor that the module wants in another dtype
is converted, and so copied. Replacing a model file is fine; truncating one in place ends the processes that map it.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import overrides

from runtimes.repository.layout import LayoutError

# Here, not when it is needed: pods that are forked from a template share it.
safetensors_torch: Any = None
with contextlib.suppress(ImportError):
    safetensors_torch = importlib.import_module("safetensors.torch")

_FILLS = frozenset(
    {
        *("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_"),
        *("xavier_normal_", "orthogonal_", "constant_", "ones_", "zeros_", "fill_", "zero_"),
    }
)


def read_safetensors(file: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file, each a view of the mapped file; raises ModuleNotFoundError without
    safetensors."""
    if safetensors_torch is None:
        raise ModuleNotFoundError("there is no module safetensors", name="safetensors")
    found: dict[str, Any] = safetensors_torch.load_file(file)
    return found


def module_with(build: Callable[[], Any], weights: Any, file: Path) -> Any:
    """Return the module that `build` makes, with these weights as its own; raises LayoutError for what are none."""
    if isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
    if not isinstance(weights, dict):
        raise LayoutError(f"{file}: holds {type(weights).__name__}, not weights by name")
    with _LeavesParametersEmpty():
        module = build()
    module.load_state_dict(_of_the_modules_dtypes(module, weights), assign=True)
    return module


def _of_the_modules_dtypes(module: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    # `assign` would keep the file's dtype, which the module's code does not expect.
    wanted = module.state_dict()
    return {
        name: value.to(wanted[name].dtype) if name in wanted and isinstance(value, torch.Tensor) else value
        for name, value in weights.items()
    }


_Mode: Any = overrides.TorchFunctionMode  # unknown to mypy where torch is not installed


class _LeavesParametersEmpty(_Mode):  # type: ignore[misc]
    """While a module is built: its parameters are not filled with random numbers that the weights replace at once.

    Memory that is never written is never resident. Buffers and plain tensors are computed as ever.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _FILLS:
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, torch.nn.Parameter):
                return target
        return func(*args, **kwargs)
