"""The models' counters in Prometheus' text form, made from the statistics when somebody asks (nothing is kept
twice)."""

from __future__ import annotations

from collections.abc import Callable

from runtimes.custom_metrics import DROPPED
from runtimes.isolation.process_memory import ProcessMemory
from runtimes.repository.store import Repository
from runtimes.servable import Servable
from runtimes.statistics import Statistics

Value = Callable[[Servable, Statistics], float]

_METRICS: tuple[tuple[str, str, str, Value], ...] = (
    ("model_infer_request_success_total", "counter", "Inferences answered", lambda _, s: s.success.count),
    ("model_infer_request_failure_total", "counter", "Inferences that failed", lambda _, s: s.fail.count),
    ("model_infer_request_cancelled_total", "counter", "Inferences whose client left", lambda _, s: s.cancelled),
    ("model_infer_request_rejected_total", "counter", "Refused because the queue was full", lambda _, s: s.rejected),
    ("model_infer_request_duration_seconds_total", "counter", "Time of answered ones", lambda _, s: s.success.ns / 1e9),
    ("model_queue_duration_seconds_total", "counter", "Time spent waiting for a batch", lambda _, s: s.queue.ns / 1e9),
    ("model_compute_duration_seconds_total", "counter", "Time in the model", lambda _, s: s.compute_infer.ns / 1e9),
    ("model_inferences_total", "counter", "Rows computed", lambda _, s: s.inferences),
    ("model_executions_total", "counter", "Calls of the model", lambda _, s: s.executions),
    ("model_requests_pending", "gauge", "Requests inside", lambda _, s: s.pending),
    ("model_queue_length", "gauge", "Requests that wait for a batch", lambda servable, _: servable.batcher.waiting),
    ("model_load_seconds", "gauge", "How long the load took, first run included", lambda servable, _: servable.load_s),
)


_WORKER_METRICS: tuple[tuple[str, str, Callable[[ProcessMemory], float]], ...] = (
    ("model_worker_resident_bytes", "Resident memory of the worker", lambda memory: memory.rss),
    ("model_worker_proportional_bytes", "Memory of the worker, shared pages divided", lambda memory: memory.pss),
    ("model_worker_private_bytes", "Memory that ending the worker gives back", lambda memory: memory.private),
)


def render(repository: Repository) -> bytes:
    """Return every metric of every model in memory, and the repository's own."""
    lines: list[str] = []
    servables = repository.servables()
    for name, kind, meaning, value in _METRICS:
        lines += [f"# HELP {name} {meaning}.", f"# TYPE {name} {kind}"]
        for servable in servables:
            labels = _labels(servable.name, servable.version)
            lines.append(f"{name}{{{labels}}} {value(servable, servable.statistics):g}")
    lines += _of_workers(repository, servables)
    lines += _of_their_code(servables)
    for name, kind, meaning, number in (
        ("model_repository_loads_total", "counter", "Models loaded", repository.loads),
        ("model_repository_evictions_total", "counter", "Models unloaded for another", repository.evictions),
        ("model_repository_resident", "gauge", "Model versions in memory", len(servables)),
        ("model_repository_waiting", "gauge", "Requests that wait for a load", repository.waiting),
    ):
        lines += [f"# HELP {name} {meaning}.", f"# TYPE {name} {kind}", f"{name} {number}"]
    return ("\n".join(lines) + "\n").encode()


def _of_workers(repository: Repository, servables: list[Servable]) -> list[str]:
    lines: list[str] = []
    for name, meaning, value in _WORKER_METRICS:
        lines += [f"# HELP {name} {meaning}.", f"# TYPE {name} gauge"]
        lines += [
            f"{name}{{{_labels(servable.name, servable.version)}}} {value(servable.memory)}"
            for servable in servables
            if servable.memory is not None
        ]
    name = "model_worker_ends_total"
    lines += [f"# HELP {name} Workers that ended though nobody asked them to.", f"# TYPE {name} counter"]
    for (model, version, how), count in repository.worker_ends.items():
        lines.append(f'{name}{{{_labels(model, version)},reason="{_escaped(how)}"}} {count}')
    return lines


def _of_their_code(servables: list[Servable]) -> list[str]:
    """Return what models count themselves, each family together as the text form wants it."""
    families: dict[str, tuple[str, list[str]]] = {}
    dropped = []
    for servable in servables:
        custom = getattr(servable.model, "custom", None)
        if custom is None:
            continue
        labels = _labels(servable.name, servable.version)
        for family, kind, line in custom.lines(labels):
            of_kind, listed = families.setdefault(family, (kind, []))
            if of_kind == kind:  # a page with one name of two kinds cannot be read
                listed.append(line)
        dropped.append(f"{DROPPED}{{{labels}}} {custom.dropped}")
    lines = [
        line
        for family, (kind, listed) in families.items()
        for line in (f"# HELP {family} Counted by the model's own code.", f"# TYPE {family} {kind}", *listed)
    ]
    head = [f"# HELP {DROPPED} Entries of a model's metrics that could not be taken.", f"# TYPE {DROPPED} counter"]
    return [*lines, *(head if dropped else []), *dropped]


def _labels(model: str, version: str) -> str:
    return f'model="{_escaped(model)}",version="{_escaped(version)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
