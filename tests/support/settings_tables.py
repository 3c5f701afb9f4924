"""The tables of docs/configuration.md, made from the config classes; run this file to renew them.

tests/test_docs.py fails while the page and the classes differ.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

from tidegate.process import settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
MODULES = {
    "gateway.config": "gateway",
    "activator.config": "activator",
    "queueproxy.config": "queueproxy",
    "autoscaler.config": "autoscaler",
    "controller.config": "controller",
    "runtimes.config": "model servers",
    "runtimes.agent.config": "the agent before servers of others",
    "runtimes.graph.config": "the router of an InferenceGraph",
    "runtimes.triton.config": "Triton",
    "cluster.config": "the local cluster",
    "cluster.node.config": "the process node",
    "cluster.node.join": "credentials of a process node",
}


def config_classes(module_name: str) -> list[type]:
    """Return the config classes that a module defines."""
    module = importlib.import_module(module_name)
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module_name
        and dataclasses.is_dataclass(value)
        and any("meaning" in field.metadata for field in dataclasses.fields(value))
    ]


def tables() -> str:
    """Return one table for each config class."""
    parts = []
    for module_name, title in MODULES.items():
        for config in config_classes(module_name):
            summary = (config.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip()
            rows = [_row(field) for field in dataclasses.fields(config)]
            head = "| environment | flag | default | meaning |\n|---|---|---|---|"
            parts.append(f"### {title}: `{config.__name__}`\n\n{summary}\n\n" + "\n".join([head, *rows]) + "\n")
    return "\n".join(parts)


def _row(field: dataclasses.Field[object]) -> str:
    default = (
        "required" if field.default is dataclasses.MISSING else f"`{field.default}`" if field.default != "" else ""
    )
    meaning = str(field.metadata.get("meaning", "")).replace("|", "\\|")
    return f"| `{settings.env_name(field)}` | `{settings.flag_name(field)}` | {default} | {meaning} |"


def renewed(page: str) -> str:
    """Return the page with the tables of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + tables() + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
    print(f"renewed {PAGE}", file=sys.stderr)
