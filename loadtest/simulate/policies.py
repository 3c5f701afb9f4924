"""The policies by name: `keep-alive`, `knative`, `ours`, `oracle`; a time may follow, as in `keep-alive=20m`.

knative     the production autoscaler with Knative's rules and defaults: of the annotations only the bounds count
ours        the production autoscaler with the app's annotations and all of its own rules
keep-alive  a pod per request without a seat, kept for a fixed time after its last request (10 minutes)
fixed       always the same number of pods, as in `fixed=8`
oracle      knows the future: the fewest pod-seconds with which nobody waits
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from loadtest import distributions
from loadtest.simulate.app import App
from loadtest.simulate.clock import Clock
from loadtest.simulate.compared import Fixed, KeepAlive, Oracle
from loadtest.simulate.policy import Policy
from loadtest.simulate.production import Production
from loadtest.traces.arrivals import Trace
from tidegate.contracts import autoscaling
from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts.autoscaling import ScalingSpec
from tidegate.contracts.durations import parse_duration

KEEP_S = 600.0
"""What a large function platform was seen to keep (Shahrad et al. 2020, "Serverless in the Wild")."""
KNATIVE, OURS, KEEP_ALIVE, ORACLE, FIXED = "knative", "ours", "keep-alive", "oracle", "fixed"
NAMES = (KEEP_ALIVE, KNATIVE, OURS, ORACLE)
PODS_MAX = 10_000
KNATIVES: dict[str, Any] = {"is_panic_paced": False, "last_pod_delay_s": -1.0, "is_prewarmed": False}
BOUNDS = (*keys.MIN_SCALE, *keys.MAX_SCALE)


@dataclass(frozen=True)
class Chosen:
    """A policy as a person chose it; `label` is what tables call it."""

    name: str
    label: str
    keep_s: float = KEEP_S
    pods: int = 0

    def app_of(self, app: App) -> App:
        """Return the app as this policy takes it."""
        if self.name != KNATIVE:
            return app
        kept = {key: value for key, value in app.annotations.items() if key in BOUNDS}
        return replace(app, annotations=kept)

    def spec_of(self, app: App, unix_s: float | None = None) -> ScalingSpec:
        """Return the scaling spec at a time: Knative has none of what Tidegate adds."""
        spec = self.app_of(app).spec_at(unix_s)
        return replace(spec, **KNATIVES) if self.name == KNATIVE else spec


def parse(text: str) -> Chosen:
    """Return the policy that `text` names; raises ValueError that lists them."""
    name, equals, value = text.partition("=")
    if name == FIXED and value.isdigit() and int(value) <= PODS_MAX:
        return Chosen(name, text, pods=int(value))
    if name not in NAMES or (equals and name != KEEP_ALIVE):
        raise ValueError(f"{text!r} is not a policy; there are {', '.join(NAMES)}, keep-alive=TIME and fixed=PODS")
    keep_s = parse_duration(value) if equals else KEEP_S
    if not 0 <= keep_s <= 7 * 86400:
        raise ValueError(f"{text!r}: a pod is kept for 0 seconds to a week")
    return Chosen(name, text, keep_s)


def build(chosen: Chosen, app: App, clock: Clock, trace: Trace, seed: int) -> Policy:
    """Return the policy, ready to adopt revisions; the oracle reads the whole trace first."""
    match chosen.name:
        case "keep-alive":
            return KeepAlive(chosen.label, clock, chosen.keep_s)
        case "fixed":
            return Fixed(chosen.label, chosen.pods)
        case "oracle":
            return Oracle(clock, trace, app.timeout_s)
        case _:
            phases = distributions.generator(seed, "phases")
            return Production(chosen.label, clock, phases, lambda now: _spec_at(chosen, app, trace, now))


def _spec_at(chosen: Chosen, app: App, trace: Trace, now: float) -> tuple[ScalingSpec, float]:
    """Return the spec as of a second of the trace, and the second at which its schedule says something else."""
    if trace.began_unix_s is None:
        return chosen.spec_of(app), math.inf
    unix_s = trace.began_unix_s + now
    annotations = chosen.app_of(app).annotations
    changes_at = autoscaling.schedule_changes_at(annotations, unix_s) - trace.began_unix_s
    return chosen.spec_of(app, unix_s), changes_at
