"""EndpointSlices read once: ready, not ready, terminating, which port."""

from __future__ import annotations

import pytest

from tidegate.kube import endpoints
from tidegate.kube.endpoints import Endpoints

PLAIN_AND_TLS = ({"name": "http", "port": 8012}, {"name": "https", "port": 8112})


def piece(*pods, ports=({"name": "http", "port": 8012},)):
    return {
        "ports": list(ports),
        "endpoints": [{"addresses": [ip], "conditions": conditions} for ip, conditions in pods],
    }


@pytest.mark.parametrize(
    ("slices", "ready", "not_ready"),
    [
        ([], [], []),
        ([piece(("10.0.0.1", {"ready": True}), ("10.0.0.2", {"ready": False}))], ["10.0.0.1"], ["10.0.0.2"]),
        ([piece(("10.0.0.1", {}))], ["10.0.0.1"], []),
        ([piece(("10.0.0.1", {"ready": True, "terminating": True}))], [], []),
        ([piece(("10.0.0.1", {"ready": False})), piece(("10.0.0.1", {"ready": True}))], ["10.0.0.1"], []),
        ([piece(("10.0.0.1", {"ready": True}), ports=())], [], []),
        ([{"ports": None, "endpoints": None}], [], []),
    ],
)
def test_sides(slices, ready, not_ready):
    expected = Endpoints(frozenset((ip, 8012) for ip in ready), frozenset((ip, 8012) for ip in not_ready))
    assert endpoints.read(slices) == expected


def test_the_port_is_found_by_name_or_is_the_first():
    ports = ({"name": "admin", "port": 8022}, {"name": "reports", "port": 8080})
    both = piece(("10.0.0.1", {"ready": True}), ports=ports)
    assert endpoints.read([both], port_name="reports").ready == {("10.0.0.1", 8080)}
    assert endpoints.read([both], port_name="other").ready == {("10.0.0.1", 8022)}


def test_pods_that_speak_tls_are_called_there_by_those_who_prefer_it():
    old, new = piece(("10.0.0.1", {})), piece(("10.0.0.2", {}), ("10.0.0.3", {"ready": False}), ports=PLAIN_AND_TLS)
    assert endpoints.read([old, new]).ready == {("10.0.0.1", 8012), ("10.0.0.2", 8012)}
    found = endpoints.read([old, new], prefers_tls=True)
    assert (found.ready, found.not_ready) == ({("10.0.0.1", 8012), ("10.0.0.2", 8112)}, {("10.0.0.3", 8112)})
    assert found.secure == {("10.0.0.2", 8112), ("10.0.0.3", 8112)}


def test_standby_pods_are_a_side_of_their_own():
    regular = piece(("10.0.0.1", {"ready": True}), ("10.0.0.2", {"ready": False}))
    standby = piece(("10.0.0.3", {"ready": True}), ("10.0.0.4", {"ready": False}), ("10.0.0.1", {"ready": True}))
    standby["metadata"] = {"labels": {"tidegate.dev/standby": "hello-00001"}}
    found = endpoints.read([standby, regular])
    assert (found.ready, found.not_ready) == ({("10.0.0.1", 8012)}, {("10.0.0.2", 8012)})
    assert found.standby == {("10.0.0.3", 8012)}
