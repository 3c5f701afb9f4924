"""Where the tests find real traces: the folder beside the checkout, or else the excerpts that come with the tests."""

from __future__ import annotations

from pathlib import Path

from loadtest.figures import ROOT

EXCERPTS = ROOT / "tests" / "loadtest" / "traces"
WHOLE = ROOT.parent / "shared" / "traces"

LLM_CODE = "azure_llm_2023_code.csv"
LLM_CONV = "azure_llm_2023_conv.csv"
FUNCTIONS_2019 = "azure_functions_2019_sample_invocations.csv"
FUNCTIONS_2021 = "azure_functions_2021_sample.csv"


def whole_or_excerpt(name: str) -> Path:
    """Return the whole trace where there is one, its excerpt otherwise."""
    return WHOLE / name if (WHOLE / name).is_file() else EXCERPTS / name
