"""What pods cost: a table of prices per hour of CPU, memory and GPU, and per request.

The tables that come along (`cpu`, `gpu`) are examples; `--price FILE` takes one's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from loadtest.simulate.app import App

TABLES = Path(__file__).parent / "prices"


class PriceError(ValueError):
    """A table of prices cannot be used; names the file and the field."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in `currency`; memory in GiB."""

    name: str = ""
    currency: str = "USD"
    per_cpu_hour: float = 0.0
    per_gib_hour: float = 0.0
    per_gpu_hour: float = 0.0
    per_million_requests: float = 0.0

    def pod_hour(self, app: App) -> float:
        """Return what one pod of the app costs per hour."""
        return app.cpu * self.per_cpu_hour + app.memory_gib * self.per_gib_hour + app.gpus * self.per_gpu_hour

    def cost(self, app: App, pod_s: float, requests: int) -> float:
        """Return what pod-seconds and requests cost together."""
        return self.pod_hour(app) * pod_s / 3600 + self.per_million_requests * requests / 1e6


def choose(name: str, app: App) -> Prices:
    """Return the table of that name or file; empty: `gpu` where the app asks for GPUs, `cpu` otherwise."""
    name = name or ("gpu" if app.gpus else "cpu")
    built_in = TABLES / f"{name}.yaml"
    return load(built_in if built_in.is_file() else Path(name))


def load(path: Path) -> Prices:
    """Return the table in a YAML file; raises PriceError."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        known = ", ".join(sorted(table.stem for table in TABLES.glob("*.yaml")))
        raise PriceError(f"{path}: not a table of prices ({error}); there are {known}, or a file") from error
    if not isinstance(document, dict):
        raise PriceError(f"{path}: it is not a mapping of prices")
    known_fields = {field.name: field for field in fields(Prices)}
    unknown = [key for key in document if key not in known_fields]
    if unknown:
        raise PriceError(f"{path}: field {unknown[0]} is not known; there are {', '.join(known_fields)}")
    return Prices(**{key: _value(path, key, value) for key, value in document.items()})


def _value(path: Path, key: str, value: Any) -> Any:
    if key in ("name", "currency"):
        return str(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise PriceError(f"{path}: field {key} is {value!r}: it must be a number of at least 0")
    return float(value)
