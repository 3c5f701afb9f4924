"""Lifecycle tables: container states in, steps and phase out."""

from __future__ import annotations

import pytest

from cluster.node import lifecycle
from cluster.node.lifecycle import Container, LookAgain, Start, Stop, Termination


def end(code: int, started: float = 0.0, finished: float = 1.0) -> Termination:
    return Termination(code, 0, "Error" if code else "Completed", "", started, finished)


def make(
    name: str, state: str = "waiting", code: int | None = None, *, init: bool = False, **fields: object
) -> Container:
    spec = {"restartPolicy": "Always"} if fields.pop("sidecar", False) else {}
    container = Container(name, spec, is_init=init, state=state, **fields)  # type: ignore[arg-type]
    container.last = None if code is None else end(code)
    return container


START = [
    # containers, policy, stopping, steps
    ("all start side by side", [make("a"), make("b")], "Always", False, [Start("a"), Start("b")]),
    ("nothing to do", [make("a", "running")], "Always", False, []),
    ("first init alone", [make("i", init=True), make("j", init=True), make("a")], "Always", False, [Start("i")]),
    ("init runs", [make("i", "running", init=True), make("a")], "Always", False, []),
    (
        "next init",
        [make("i", "terminated", 0, init=True), make("j", init=True), make("a")],
        "Always",
        False,
        [Start("j")],
    ),
    ("inits done", [make("i", "terminated", 0, init=True), make("a")], "Always", False, [Start("a")]),
    ("failed init again", [make("i", "terminated", 1, init=True), make("a")], "OnFailure", False, [Start("i")]),
    ("failed init for good", [make("i", "terminated", 1, init=True), make("a")], "Never", False, []),
    ("restart", [make("a", "terminated", 1)], "Always", False, [Start("a")]),
    ("restart a success", [make("a", "terminated", 0)], "Always", False, [Start("a")]),
    ("success stays", [make("a", "terminated", 0)], "OnFailure", False, []),
    ("failure is tried again", [make("a", "terminated", 2)], "OnFailure", False, [Start("a")]),
    ("never", [make("a", "terminated", 2)], "Never", False, []),
    ("back-off", [make("a", "terminated", 1, not_before=120.0)], "Always", False, [LookAgain(120.0)]),
    (
        "the earliest look counts",
        [make("a", "terminated", 1, not_before=120.0), make("b", "terminated", 1, not_before=110.0), make("c")],
        "Always",
        False,
        [Start("c"), LookAgain(110.0)],
    ),
    ("sidecar not started yet", [make("s", "running", init=True, sidecar=True), make("a")], "Always", False, []),
    (
        "sidecar started",
        [make("s", "running", init=True, sidecar=True, started=True), make("a")],
        "Always",
        False,
        [Start("a")],
    ),
    (
        "sidecar ends with the others",
        [make("s", "running", init=True, sidecar=True, started=True), make("a", "terminated", 0)],
        "Never",
        False,
        [Stop("s")],
    ),
    ("stop all", [make("a", "running"), make("b", "running")], "Always", True, [Stop("a"), Stop("b")]),
    ("no start while stopping", [make("a", "terminated", 1), make("b")], "Always", True, []),
    (
        "sidecars stop last",
        [make("s", "running", init=True, sidecar=True), make("a", "stopping")],
        "Always",
        True,
        [],
    ),
    (
        "sidecars stop",
        [make("s", "running", init=True, sidecar=True), make("a", "terminated", 0)],
        "Always",
        True,
        [Stop("s")],
    ),
]


@pytest.mark.parametrize(
    ("containers", "policy", "stopping", "steps"), [row[1:] for row in START], ids=[row[0] for row in START]
)
def test_steps(containers: list[Container], policy: str, stopping: bool, steps: list[lifecycle.Step]) -> None:
    assert lifecycle.plan(containers, policy, stopping=stopping, now=100.0) == steps


PHASES = [
    ([make("a")], "Always", "Pending"),
    ([make("a", "starting")], "Always", "Pending"),
    ([make("a", "running")], "Always", "Running"),
    ([make("a", "running"), make("b")], "Always", "Pending"),
    ([make("i", "running", init=True), make("a")], "Always", "Pending"),
    ([make("a", "terminated", 1)], "Always", "Running"),
    ([make("a", "waiting", 1)], "Always", "Running"),
    ([make("a", "terminated", 0)], "Never", "Succeeded"),
    ([make("a", "terminated", 0)], "OnFailure", "Succeeded"),
    ([make("a", "terminated", 1)], "OnFailure", "Running"),
    ([make("a", "terminated", 0), make("b", "terminated", 1)], "Never", "Failed"),
    ([make("a", "terminated", 0), make("b", "running")], "Never", "Running"),
    ([make("i", "terminated", 1, init=True), make("a")], "Never", "Failed"),
    ([make("s", "running", init=True, sidecar=True), make("a", "terminated", 0)], "Never", "Succeeded"),
]


@pytest.mark.parametrize(("containers", "policy", "phase"), PHASES)
def test_phase(containers: list[Container], policy: str, phase: str) -> None:
    assert lifecycle.phase(containers, policy) == phase


def test_back_off_grows_and_is_forgotten_after_a_long_run() -> None:
    container = make("a", "running")
    pauses = []
    for _ in range(8):
        lifecycle.ended(container, end(1), now=1000.0)
        pauses.append(container.not_before - 1000.0)
    assert pauses == [0, 10, 20, 40, 80, 160, 300, 300]
    lifecycle.ended(container, end(1, 0.0, 601.0), now=1000.0)
    assert container.not_before == 1000.0


def test_refused_keeps_waiting() -> None:
    container = make("a")
    lifecycle.refused(container, "ErrImagePull", "no", 10.0, now=5.0)
    assert (container.state, container.reason, container.message, container.not_before) == (
        "waiting",
        "ErrImagePull",
        "no",
        15.0,
    )
    assert lifecycle.plan([container], "Always", stopping=False, now=6.0) == [LookAgain(15.0)]


def test_containers_of_a_spec() -> None:
    spec = {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}
    init, main = lifecycle.containers_of(spec)
    assert (init.is_init, init.reason, main.reason) == (True, "ContainerCreating", "PodInitializing")
