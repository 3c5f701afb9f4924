"""Which requests are probes, and what the gateway does with them."""

from __future__ import annotations

import pytest

from gateway.probes import Probes
from tests.support.heads import make_request


@pytest.mark.parametrize(
    ("target", "agent", "expected"),
    [
        (b"/", "kube-probe/1.31", True),
        (b"/", "Knative-Activator-Probe", True),
        (b"/", "curl/8", False),
        (b"/", "Prometheus/2.5", True),
        (b"/metrics", "curl/8", True),
        (b"/metrics?full=1", "curl/8", True),
        (b"/metrics/more", "curl/8", False),
        (b"/health", "", True),
    ],
)
async def test_probes_are_known_by_user_agent_and_path(target, agent, expected):
    request = make_request(**({"user_agent": agent} if agent else {}))
    request.target = target
    assert Probes("/metrics, /health", " Prometheus/,").has(request) is expected


async def test_without_settings_only_the_kubelets_kind_is_a_probe():
    request = make_request()
    request.target = b""
    assert not Probes().has(request)
