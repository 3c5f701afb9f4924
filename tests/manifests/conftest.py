"""An API server of the test's own, and the real kubectl against it."""

from __future__ import annotations

from tests.cluster.api.conftest import kubectl, running

__all__ = ["kubectl", "running"]
