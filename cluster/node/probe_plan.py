"""When a probe runs next and what its results mean.

Pure. Until the first success a readiness or startup probe runs fast: readiness must be known the moment it is there,
so the pause is a twentieth of the time waited so far (at least 5 ms, at most the period). A start-up is then never
prolonged by more than about 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.kube.api import Object

FASTEST_S = 0.005
SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe's settings with Kubernetes' defaults; times in seconds."""

    action: Object
    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class Results:
    """What a probe has seen so far: the verdict (None before there is one) and the run of equal results."""

    verdict: bool | None = None
    last: bool | None = None
    run: int = 0


def parse(spec: Object) -> Probe:
    """Read a container's probe."""
    return Probe(
        action=spec,
        initial_delay_s=float(spec.get("initialDelaySeconds") or 0),
        period_s=float(spec.get("periodSeconds") or 10),
        timeout_s=float(spec.get("timeoutSeconds") or 1),
        success_threshold=int(spec.get("successThreshold") or 1),
        failure_threshold=int(spec.get("failureThreshold") or 3),
    )


def after(results: Results, succeeded: bool, probe: Probe) -> Results:
    """Return the results after one more."""
    run = results.run + 1 if results.last is succeeded else 1
    needed = probe.success_threshold if succeeded else probe.failure_threshold
    return Results(succeeded if run >= needed else results.verdict, succeeded, run)


def pause_s(probe: Probe, waited_s: float, *, is_fast: bool) -> float:
    """Return the pause before the next run; `waited_s` is the time since the container started."""
    if not is_fast:
        return probe.period_s
    return min(probe.period_s, max(FASTEST_S, waited_s * SHARE))
