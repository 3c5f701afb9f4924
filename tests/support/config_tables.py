"""The tables of ConfigMap keys in docs/configuration.md, made from the manifests; run this file to renew them.

A key's meaning is the comment above it in `_example`, its default the value there.
"""

from __future__ import annotations

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- config maps: begin -->", "<!-- config maps: end -->"
ELSEWHERE = ("config-autoscaler", "config-domain")
"""The first has a page of its own, the second has no fixed keys."""

Row = tuple[str, str, str]
"""Key, default, meaning."""


def rows(example: str) -> list[Row]:
    """Return the keys of an `_example` in order."""
    values = yaml.safe_load(example)
    found: list[Row] = []
    comment: list[str] = []
    for line in example.splitlines():
        if line.startswith("# "):
            comment.append(line[2:])
        elif key := re.match(r"([\w./-]+):", line):
            found.append((key[1], str(values[key[1]]), " ".join(comment)))
            comment = []
    return found


def config_maps() -> dict[str, tuple[str, list[Row]]]:
    """Return what each ConfigMap is for, and its keys, by name."""
    found = {}
    for path in sorted((ROOT / "manifests" / "base" / "config").glob("*.yaml")):
        text = path.read_text()
        document = yaml.safe_load(text)
        if document["metadata"]["name"] not in ELSEWHERE:
            found[document["metadata"]["name"]] = (text.splitlines()[0][2:], rows(document["data"]["_example"]))
    return found


def renewed(page: str) -> str:
    """Return the page with its tables made anew."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    parts = []
    for name, (purpose, listed) in config_maps().items():
        table = [f"| `{key}` | {_shown(default)} | {meaning} |" for key, default, meaning in listed]
        parts.append(
            "\n".join([f"### {name}", "", purpose, "", "| key | default | meaning |", "|---|---|---|", *table])
        )
    return f"{head}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{tail}"


def _shown(default: str) -> str:
    if not default:
        return "unset"
    return "JSON in Knative's form" if len(default) > 100 else f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
    print(f"renewed {PAGE}")
