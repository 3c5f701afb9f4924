"""Metrics that a model's own code gives (`metrics`, as Seldon's classes have it), added up for /metrics.

After each prediction the class says a list of `{"type", "key", "value", "tags"}` (COUNTER, GAUGE or TIMER): counters
are added up, gauges replaced, timers (milliseconds, as Seldon has them) are counted and summed in seconds. Bounded: a
model that gives ever new keys or tags gets no more than SERIES_LIMIT series, and what is left out is counted.
"""

from __future__ import annotations

import math
import numbers
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

COUNTER, GAUGE, TIMER = TYPES = ("COUNTER", "GAUGE", "TIMER")
SERIES_LIMIT = 200
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
_RESERVED = ("model", "version", "le", "quantile")
_PREFIX = "model_custom_"
DROPPED = f"{_PREFIX}metrics_dropped_total"
Key = tuple[str, tuple[tuple[str, str], ...]]


class CustomMetrics:
    """What one model's code has counted. Calls of a model may run in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, str] = {DROPPED: ""}
        """Of each name on /metrics, those of a timer's sum and count too."""
        self._values: dict[Key, float] = {}
        self._counts: dict[Key, int] = {}
        self.dropped = 0

    def take(self, said: Any) -> list[dict[str, Any]]:
        """Add what a class said; returns the entries that could be used, the rest is counted."""
        used = []
        listed = said if isinstance(said, list | tuple) else []
        with self._lock:
            for each in listed:
                plain = _plain(each)
                if plain is not None and self._add(plain):
                    used.append(plain)
                else:
                    self.dropped += 1
        return used

    def _add(self, entry: Mapping[str, Any]) -> bool:
        kind, name, value, tags = entry["type"], entry["key"], float(entry["value"]), entry.get("tags", {})
        family = _PREFIX + _family(kind, name)
        key: Key = (family, tuple(sorted(tags.items())))
        names = (family, f"{family}_sum", f"{family}_count") if kind == TIMER else (family,)
        if any(self._kinds.get(each, kind) != kind for each in names):
            return False
        if key not in self._values and len(self._values) >= SERIES_LIMIT:
            return False
        self._kinds |= dict.fromkeys(names, kind)
        if kind == GAUGE:
            self._values[key] = value
        else:
            self._values[key] = self._values.get(key, 0.0) + (value / 1e3 if kind == TIMER else value)
            self._counts[key] = self._counts.get(key, 0) + 1
        return True

    def lines(self, labels: str) -> Iterable[tuple[str, str, str]]:
        """Yield (family, its Prometheus type, line) of everything; `labels` stand before the entry's own tags."""
        with self._lock:
            for key, value in sorted(self._values.items()):
                family, tags = key
                own = "".join(f',{tag}="{_escaped(text)}"' for tag, text in tags)
                inside = f"{{{labels}{own}}}"
                kind = self._kinds[family]
                if kind == TIMER:
                    yield family, "summary", f"{family}_sum{inside} {value:g}"
                    yield family, "summary", f"{family}_count{inside} {self._counts[key]}"
                else:
                    yield family, kind.lower(), f"{family}{inside} {value:g}"


def _family(kind: str, name: str) -> str:
    """Return the name that Prometheus' conventions give a metric of this kind."""
    if kind == COUNTER:
        return f"{name.removesuffix('_total')}_total"
    return f"{name.removesuffix('_seconds')}_seconds" if kind == TIMER else name


def _plain(said: Any) -> dict[str, Any] | None:
    """Return an entry with nothing but what JSON can say, None for one that cannot be taken."""
    try:
        kind, name, value = str(said.get("type", COUNTER)), str(said.get("key", "")), said.get("value", 1)
        tags = {str(tag): _printable(str(text)[:200]) for tag, text in (said.get("tags") or {}).items()}
        # numpy's numbers are Real as well.
        is_number = not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    except Exception:  # whatever a model's code makes of it
        return None
    if not is_number or kind not in TYPES or (kind == COUNTER and value < 0) or not _NAME.fullmatch(name):
        return None
    if any(not _NAME.fullmatch(tag) or tag in _RESERVED for tag in tags):
        return None
    found = {"type": kind, "key": name, "value": int(value) if isinstance(value, numbers.Integral) else float(value)}
    return found | ({"tags": tags} if tags else {})


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
