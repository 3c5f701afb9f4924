"""Specs that were resolved before: most revisions have one of a few sets of annotations.

Reading annotations takes a hundred microseconds, and a change of settings asks for all revisions at once. What a
schedule says depends on the time, so it is always read anew. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.contracts import autoscaling, autoscaling_extensions
from tidegate.contracts.autoscaling import AutoscalerConfig, ScalingSpec

LIMIT = 10_000


class SpecMemo:
    """`autoscaling.resolve_spec`, remembered."""

    def __init__(self) -> None:
        self._config: AutoscalerConfig | None = None
        self._known: dict[tuple[object, ...], ScalingSpec] = {}

    def resolve(
        self,
        annotations: Mapping[str, str],
        container_concurrency: int,
        config: AutoscalerConfig,
        reachability: str,
        *,
        progress_deadline_s: float,
        unix_s: float,
    ) -> ScalingSpec:
        """Return what the annotations mean under `config` as of `unix_s` (seconds since 1970)."""
        key = (tuple(sorted(annotations.items())), container_concurrency, reachability, progress_deadline_s)
        if config is not self._config or len(self._known) >= LIMIT:
            self._config = config
            self._known.clear()
        spec = self._known.get(key)
        if spec is None:
            spec = autoscaling.resolve_spec(
                annotations,
                container_concurrency,
                config,
                reachability,
                progress_deadline_s=progress_deadline_s,
                unix_s=unix_s,
            )
            if autoscaling_extensions.SCHEDULE not in annotations:
                self._known[key] = spec
        return spec
