"""The documents say what is: every setting, command, reason code and example is in them; every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import config_tables, settings_tables
from tidegate.cli import __main__ as cli
from tidegate.contracts import outcomes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_of_every_process_is_documented() -> None:
    page = settings_tables.PAGE.read_text()
    assert settings_tables.renewed(page) == page, "run: python tests/support/settings_tables.py"


def test_every_module_that_has_settings_is_in_those_tables() -> None:
    tops = sorted(path for path in ROOT.iterdir() if (path / "__init__.py").exists() and path.name != "tests")
    sources = [
        path
        for top in tops
        for path in top.rglob("*.py")
        if re.search(r"^    \w+: \w+ = setting\(", path.read_text(), re.M)
    ]
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources}
    assert found == set(settings_tables.MODULES)


def test_every_command_and_flag_of_up_is_documented() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    assert [name for name in cli.main.commands if f"`tidegate {name}" not in page] == []
    flags = [option for parameter in cli.main.commands["up"].params for option in parameter.opts]
    assert [flag for flag in flags if flag.startswith("--") and flag not in page] == []


def test_every_reason_is_documented() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (?:(\d+) s)? *\| (.+) \|$", page, re.MULTILINE)
    assert rows == [
        (reason.code, str(reason.status), str(reason.retry_after_s or ""), reason.text)
        for reason in outcomes.ALL.values()
    ]


def test_the_architecture_ends_with_its_flaws() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    assert headings[-1] == "What is wrong with this"


def test_every_example_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for service in (ROOT / "examples").glob("*/service.yaml"):
        assert f"(examples/{service.parent.name})" in readme


def test_every_make_command_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= wanted <= targets


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_key_of_the_config_maps_is_documented() -> None:
    page = config_tables.PAGE.read_text()
    assert config_tables.renewed(page) == page, "run: python tests/support/config_tables.py"
    assert all(len(keys) >= 3 for _, keys in config_tables.config_maps().values())
    assert [key for _, keys in config_tables.config_maps().values() for key, _, meaning in keys if not meaning] == []
