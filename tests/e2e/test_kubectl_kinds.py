"""The real kubectl on every kind there is: create, apply, get, describe, wait, edit, delete; the columns are Knative's.

The columns are those of the CustomResourceDefinitions in knative/serving (config/core/300-resources), in
knative/networking (config/domain-claim.yaml, which leaves Kubernetes' default, the age) and in kserve/kserve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtest.instance import Instance, example

Files = Callable[..., Path]

NAMESPACE = "kinds"
SERVING, IMAGE = "serving.knative.dev/v1", "tidegate.dev/examples/hello"
TEMPLATE = {"spec": {"containers": [{"image": IMAGE}]}}
SMALL = {"requests": {"cpu": "100m", "memory": "100Mi"}}
"""An InferenceService that does not say asks for a whole core, which a small machine may not have left."""
RUNTIME_SPEC = {
    "supportedModelFormats": [{"name": "paper"}],
    "containers": [{"name": "kserve-container", "image": "i"}],
}
AGE = r"\d+[smh]\d*s?"


@dataclass(frozen=True)
class Kind:
    """One kind: how it is called, an object of it, and what `kubectl get` shows."""

    name: str
    resource: str
    short: tuple[str, ...]
    api_version: str
    spec: dict[str, Any]
    columns: tuple[str, ...]
    row: str
    """a regular expression of the cells behind the name, divided by blanks"""
    categories: tuple[str, ...]
    object_name: str = "one"
    is_namespaced: bool = True
    becomes_ready: bool = True

    @property
    def where(self) -> tuple[str, ...]:
        return ("-n", NAMESPACE) if self.is_namespaced else ()

    @property
    def document(self) -> dict[str, Any]:
        metadata = {"name": self.object_name, "labels": {"made-by": "kinds"}}
        if self.is_namespaced:
            metadata["namespace"] = NAMESPACE
        return {"apiVersion": self.api_version, "kind": self.name, "metadata": metadata, "spec": self.spec}


USERS = ("all", "knative", "serving")
KINDS = (
    Kind(
        "Service", "services.serving.knative.dev", ("kservice", "ksvc"), SERVING, {"template": TEMPLATE},
        ("URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"),
        r"http://one\.kinds\.localhost one-00001 one-00001 True", USERS,
    ),
    Kind(
        "Configuration", "configurations.serving.knative.dev", ("config", "cfg"), SERVING, {"template": TEMPLATE},
        ("LATESTCREATED", "LATESTREADY", "READY", "REASON"), "two-00001 two-00001 True", USERS, "two",
    ),
    Kind(
        "Route", "routes.serving.knative.dev", ("rt",), SERVING,
        {"traffic": [{"configurationName": "two", "percent": 100}]},
        ("URL", "READY", "REASON"), r"http://three\.kinds\.localhost True", USERS, "three",
    ),
    Kind(
        "Revision", "revisions.serving.knative.dev", ("rev",), SERVING, TEMPLATE["spec"],
        ("CONFIG NAME", "GENERATION", "READY", "REASON", "ACTUAL REPLICAS", "DESIRED REPLICAS"),
        "True [01] [01]", USERS, "alone",
    ),
    Kind(
        "DomainMapping", "domainmappings.serving.knative.dev", ("dm",), "serving.knative.dev/v1beta1",
        {"ref": {"apiVersion": SERVING, "kind": "Service", "name": "one"}},
        ("URL", "READY", "REASON"), r"http://kinds\.example\.org True", USERS, "kinds.example.org",
    ),
    Kind(
        "PodAutoscaler", "podautoscalers.autoscaling.internal.knative.dev", ("kpa", "pa"),
        "autoscaling.internal.knative.dev/v1alpha1",
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"},
            "protocolType": "http1",
        },
        ("DESIREDSCALE", "ACTUALSCALE", "READY", "REASON"), ".*", ("knative-internal", "autoscaling"), "mine",
        becomes_ready=False,
    ),
    Kind(
        "ClusterDomainClaim", "clusterdomainclaims.networking.internal.knative.dev", ("cdc",),
        "networking.internal.knative.dev/v1alpha1", {"namespace": NAMESPACE}, ("AGE",), AGE,
        ("knative-internal", "networking"), "claimed.example.org", is_namespaced=False, becomes_ready=False,
    ),
    Kind(
        "InferenceService", "inferenceservices.serving.kserve.io", ("isvc",), "serving.kserve.io/v1beta1",
        {"predictor": {"containers": [{"name": "kserve-container", "image": IMAGE, "resources": SMALL}]}},
        ("URL", "READY", "PREV", "LATEST", "PREVROLLEDOUTREVISION", "LATESTREADYREVISION", "AGE"),
        rf"http://model\.kinds\.localhost True 100 model-predictor-00001 {AGE}", ("kserve",), "model",
    ),
    Kind(
        "ServingRuntime", "servingruntimes.serving.kserve.io", (), "serving.kserve.io/v1alpha1", RUNTIME_SPEC,
        ("DISABLED", "MODELTYPE", "CONTAINERS", "AGE"), f"paper kserve-container {AGE}", ("kserve",), "paper",
        becomes_ready=False,
    ),
    Kind(
        "ClusterServingRuntime", "clusterservingruntimes.serving.kserve.io", (), "serving.kserve.io/v1alpha1",
        RUNTIME_SPEC, ("DISABLED", "MODELTYPE", "CONTAINERS", "AGE"), f"paper kserve-container {AGE}", ("kserve",),
        "kinds-paper", is_namespaced=False, becomes_ready=False,
    ),
)  # fmt: skip
VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
CHANGEABLE = [kind for kind in KINDS if kind.name != "Revision"]
READY = [kind for kind in KINDS if kind.becomes_ready]


@pytest.fixture(scope="module")
def made(running_instance: Instance, kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One object of each kind, created by `kubectl create` and Ready where it can be."""
    file = tmp_path_factory.mktemp("kinds") / "all.yaml"
    run = running_instance.run
    write(file, *(kind.document for kind in KINDS))
    run("kubectl", "create", "namespace", NAMESPACE)
    try:
        created = run("kubectl", "create", "-f", str(file))
        assert created.splitlines() == [f"{one_of(kind)} created" for kind in KINDS]
        names = [f"{kind.resource}/{kind.object_name}" for kind in READY]
        run("kubectl", "wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=100s", *names)
        yield running_instance
    finally:
        wide = [f"{kind.resource}/{kind.object_name}" for kind in KINDS if not kind.is_namespaced]
        run("kubectl", "delete", "--ignore-not-found", "--wait=false", f"namespace/{NAMESPACE}", *wide)


def write(file: Path, *documents: dict[str, Any]) -> None:
    file.write_text("\n---\n".join(yaml.safe_dump(one) for one in documents))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Gives a file of one object of each kind, with more labels."""

    def file(*kinds: Kind, **labels: str) -> Path:
        documents = [kind.document for kind in kinds]
        for one in documents:
            one["metadata"]["labels"].update(labels)
        write(tmp_path / "all.yaml", *documents)
        return tmp_path / "all.yaml"

    return file


def one_of(kind: Kind) -> str:
    singular, _, group = kind.resource.partition(".")
    return f"{singular.removesuffix('s')}.{group}/{kind.object_name}"


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_get_shows_the_columns_by_every_name_of_the_kind(made: Instance, kind: Kind) -> None:
    plural = kind.resource.partition(".")[0]
    # `services` alone are Kubernetes' own.
    for called in (*kind.short, kind.resource if kind.name == "Service" else plural):
        header, row = made.run("kubectl", "get", called, kind.object_name, "-o", "wide", *kind.where).splitlines()
        assert re.split(r" {2,}", header.strip()) == ["NAME", *kind.columns]
        assert re.fullmatch(rf"{re.escape(kind.object_name)} ?{kind.row}", " ".join(row.split())), row
    explained = made.run("kubectl", "explain", plural, f"--api-version={kind.api_version}")
    assert re.search(rf"^KIND: +{kind.name}$", explained, re.MULTILINE)
    assert re.search(r"^ {2}spec\t", explained, re.MULTILINE)


def test_the_api_says_short_names_categories_and_verbs_of_each_kind(made: Instance) -> None:
    listed = made.run("kubectl", "api-resources", "--no-headers", "-o", "wide")
    rows = [line.split() for line in listed.splitlines()]
    for kind in KINDS:
        [(plural, *short, _, is_namespaced, name, verbs, categories)] = [
            row for row in rows if row[-5:-2:2] == [kind.api_version, kind.name]
        ]
        assert (plural, name) == (kind.resource.partition(".")[0], kind.name)
        assert ",".join(short) == ",".join(kind.short)
        assert is_namespaced == str(kind.is_namespaced).lower()
        assert categories.split(",") == list(kind.categories)
        assert set(verbs.split(",")) == VERBS


def test_a_category_is_all_kinds_of_it_and_no_other(made: Instance) -> None:
    for category in ("all", "knative", "serving"):
        shown = made.run("kubectl", "get", category, "-n", NAMESPACE, "-o", "name").splitlines()
        for kind in KINDS:
            assert (one_of(kind) in shown) == (category in kind.categories), (category, kind.name)


def test_describe_tells_of_each(made: Instance, files: Files) -> None:
    described = made.run("kubectl", "describe", "-f", str(files(*KINDS)))
    for kind in KINDS:
        [own] = re.findall(
            rf"^Name: +{re.escape(kind.object_name)}$.*?^Kind: +{kind.name}$.*?^Events:",
            described,
            re.MULTILINE | re.DOTALL,
        )
        assert f"API Version:  {kind.api_version}" in own


def test_apply_by_client_and_by_server_is_idempotent_and_changes(made: Instance, files: Files) -> None:
    def told(*flags: str, **labels: str) -> list[str]:
        return made.run("kubectl", "apply", *flags, "-f", str(files(*CHANGEABLE, **labels))).splitlines()

    def generations() -> list[str]:
        path = "jsonpath={.items[*].metadata.generation}"
        return made.run("kubectl", "get", "-f", str(files(*CHANGEABLE)), "-o", path).split()

    told()
    before = generations()
    again = told()
    # kubectl compares lists as a whole: where the webhook filled in fields of an entry it sends them again, in vain.
    assert [line for line in again if not line.endswith(" unchanged")] == [
        f"{one_of(kind)} configured" for kind in CHANGEABLE if {"template", "traffic"} & kind.spec.keys()
    ]
    assert generations() == before
    changes = made.run("kubectl", "diff", "-f", str(files(*CHANGEABLE, changed="yes")), check=False)
    assert changes.count('+    changed: "yes"') == len(CHANGEABLE)
    assert told(changed="yes") == [f"{one_of(kind)} configured" for kind in CHANGEABLE]
    by_server = told("--server-side", "--force-conflicts", changed="yes")
    assert by_server == [f"{one_of(kind)} serverside-applied" for kind in CHANGEABLE]
    assert told("--server-side", changed="yes") == by_server


def test_a_revision_cannot_be_applied_again_without_what_was_filled_in(made: Instance, files: Files) -> None:
    [revision] = [kind for kind in KINDS if kind not in CHANGEABLE]
    with pytest.raises(RuntimeError, match="Immutable fields changed"):
        made.run("kubectl", "apply", "-f", str(files(revision)))
    made.run("kubectl", "label", "revision", revision.object_name, "-n", NAMESPACE, "changed=yes")


def test_what_was_read_can_be_written_back_and_patched(made: Instance, files: Files, tmp_path: Path) -> None:
    read, all_of_them = tmp_path / "read.yaml", str(files(*KINDS))
    for _ in range(20):
        read.write_text(made.run("kubectl", "get", "-f", all_of_them, "-o", "yaml"))
        told = made.run("kubectl", "replace", "-f", str(read), check=False).splitlines()
        if len(told) == len(KINDS):
            break
        # Somebody wrote a status in between, as they may, and kubectl says Conflict; a person reads again.
    assert told == [f"{one_of(kind)} replaced" for kind in KINDS]
    patch = '{"metadata":{"annotations":{"note":"here"}}}'
    patched = made.run("kubectl", "patch", "--type=merge", "-p", patch, "-f", all_of_them)
    assert patched.splitlines() == [f"{one_of(kind)} patched" for kind in KINDS]
    notes = made.run("kubectl", "get", "-f", all_of_them, "-o", "jsonpath={.items[*].metadata.annotations.note}")
    assert notes.split() == ["here"] * len(KINDS)


def test_delete_waits_until_all_are_gone(made: Instance, files: Files) -> None:
    second = [replace(kind, object_name=f"second-{kind.object_name}") for kind in KINDS]
    file = str(files(*second))
    made.run("kubectl", "create", "-f", file)
    told = made.run("kubectl", "delete", "--cascade=foreground", "-f", file, "--timeout=90s")
    assert told.count("deleted") == len(KINDS)
    assert made.run("kubectl", "get", "--ignore-not-found", "-f", file) == ""


def test_wait_tells_who_does_not_become_ready(made: Instance, tmp_path: Path) -> None:
    document, file = example("hello", service="never"), tmp_path / "never.yaml"
    document["metadata"]["namespace"] = NAMESPACE
    document["spec"]["template"]["spec"]["containers"] = [{"image": IMAGE, "command": ["false"]}]
    write(file, document)
    made.run("kubectl", "apply", "-f", str(file))
    # Where the API server is slower than the second, kubectl says so in other words.
    with pytest.raises(RuntimeError, match=r"timed out waiting for the condition on services/never|deadline exceeded"):
        made.run("kubectl", "wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=1s", "ksvc/never")
    made.run("kubectl", "wait", "-n", NAMESPACE, "--for=condition=Ready=False", "--timeout=90s", "cfg/never")
    shown = made.run("kubectl", "get", "cfg", "never", "-n", NAMESPACE, "--no-headers")
    assert shown.split() == ["never", "never-00001", "False", "RevisionFailed"]
    # Gone while somebody waits for it.
    made.run("kubectl", "delete", "ksvc", "never", "-n", NAMESPACE, "--wait=false")
    made.run("kubectl", "wait", "-n", NAMESPACE, "--for=delete", "--timeout=90s", "ksvc/never")
