"""Kubernetes quantities, by the name under which the cluster's modules read them; the rules are the contracts'."""

from __future__ import annotations

from tidegate.contracts.quantities import parse, text

__all__ = ["parse", "text"]
