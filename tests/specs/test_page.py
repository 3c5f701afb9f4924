"""docs/autoscaling.md is complete: every annotation in all spellings, every key with its default, every reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts import autoscaling_extensions, names
from tidegate.contracts.autoscaler_config import _KEYS, DEFAULTS, parse_config
from tidegate.contracts.decision import Because

PAGE = (Path(__file__).parents[2] / "docs" / "autoscaling.md").read_text()
SPELLINGS = [value for value in vars(keys).values() if type(value) is tuple]


def rows() -> dict[str, list[str]]:
    """Return the cells of every row of a table, by the first one."""
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in lines}


@pytest.mark.parametrize("spellings", SPELLINGS, ids=lambda spellings: spellings[0])
def test_every_annotation(spellings):
    kebab, *others = (spelling.removeprefix(names.AUTOSCALING) for spelling in spellings)
    assert rows()[kebab][0] == " ".join(f"`{other}`" for other in others) or kebab in {key for key, _ in _KEYS.items()}
    assert all(f"`{other}`" in PAGE for other in others)


@pytest.mark.parametrize("key", sorted(autoscaling_extensions.KEYS))
def test_every_annotation_of_our_own(key):
    assert key.removeprefix(autoscaling_extensions.PREFIX) in rows()


@pytest.mark.parametrize("key", sorted(_KEYS))
def test_every_key_with_its_default(key):
    pattern = rf"^\| `{re.escape(key)}` \| ([^|]*) \|[^|]*\|[^|]*\|$"
    found = re.findall(pattern, PAGE, re.MULTILINE)
    assert len(found) == 1, f"{key} has no row in the table of config-autoscaler"
    default = found[0].strip()
    assert parse_config({key: default}) == DEFAULTS


@pytest.mark.parametrize("because", list(Because))
def test_every_reason(because):
    assert f"`{because.value}`" in PAGE


@pytest.mark.parametrize("because", list(Because))
def test_every_reason_has_a_timeline(because):
    tables = "".join(path.read_text() for path in Path(__file__).parent.glob("*.yaml"))
    assert re.search(rf"\b{because.value}$", tables, re.MULTILINE), f"no timeline shows {because.value}"
