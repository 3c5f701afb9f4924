"""What the server and its models say of themselves, for REST and gRPC alike."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from runtimes.repository.store import Repository
from runtimes.servable import Servable

EXTENSIONS = [
    "binary_tensor_data",
    "model_repository",
    "statistics",
    "model_configuration",
    "classification",
    "schedule_policy",
    "parameters",
    "generate",
]
SERVER = {"name": "tidegate", "version": metadata.version("tidegate"), "extensions": EXTENSIONS}


def model_metadata(servable: Servable, repository: Repository) -> dict[str, Any]:
    """Return the model metadata of the protocol."""
    spec = servable.spec
    return {
        "name": servable.name,
        "versions": list(repository.entry(servable.name).slots),
        "platform": spec.platform,
        "inputs": [each.document() for each in spec.inputs],
        "outputs": [each.document() for each in spec.outputs],
    }


def model_metadata_with_provenance(servable: Servable, repository: Repository) -> dict[str, Any]:
    """Return the same with what the version's manifest says, for which gRPC's message has no field."""
    folder = repository.entry(servable.name).folder
    said = folder.manifests.get(servable.version) if folder is not None else None
    return model_metadata(servable, repository) | ({"provenance": said.document()} if said is not None else {})


def statistics(repository: Repository, name: str = "", version: str = "") -> dict[str, Any]:
    """Return the statistics extension's answer for one version, one model, or all; raises a 404."""
    chosen = _chosen(repository, name, version)
    return {"model_stats": [each.statistics.document(each.name, each.version) for each in chosen]}


def statistics_with_loads(repository: Repository, name: str = "", version: str = "") -> dict[str, Any]:
    """Return the same with `load_ns`, how long the load took: REST has room for what gRPC's message has no field."""
    chosen = _chosen(repository, name, version)
    return {
        "model_stats": [
            each.statistics.document(each.name, each.version) | {"load_ns": int(each.load_s * 1e9)} for each in chosen
        ]
    }


def _chosen(repository: Repository, name: str, version: str) -> list[Servable]:
    if version:
        repository.slot(name, version)
    elif name:
        repository.entry(name)
    return [
        servable
        for servable in repository.servables()
        if (not name or servable.name == name) and (not version or servable.version == version)
    ]
