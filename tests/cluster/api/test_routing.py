"""Paths as what they address, and Accept headers as what is wanted."""

from __future__ import annotations

import pytest

from cluster.api import negotiate
from cluster.api.routing import Target, parse
from tidegate.kube.api import ApiError

PATHS = [
    ("/api/v1/pods", Target("", "v1", "pods")),
    ("/api/v1/namespaces", Target("", "v1", "namespaces")),
    ("/api/v1/namespaces/a", Target("", "v1", "namespaces", name="a")),
    ("/api/v1/namespaces/a/status", Target("", "v1", "namespaces", name="a", subresource="status")),
    ("/api/v1/namespaces/a/finalize", Target("", "v1", "namespaces", name="a", subresource="finalize")),
    ("/api/v1/namespaces/a/pods", Target("", "v1", "pods", "a")),
    ("/api/v1/namespaces/a/pods/p", Target("", "v1", "pods", "a", "p")),
    ("/api/v1/namespaces/a/pods/p/log", Target("", "v1", "pods", "a", "p", "log")),
    ("/api/v1/namespaces/a/pods/p:80/proxy/x/y%20z", Target("", "v1", "pods", "a", "p:80", "proxy", "x/y%20z")),
    ("/api/v1/namespaces/a/services/s/proxy/", Target("", "v1", "services", "a", "s", "proxy", "")),
    ("/apis/apps/v1/deployments", Target("apps", "v1", "deployments")),
    ("/apis/apps/v1/namespaces/a/deployments/d/scale", Target("apps", "v1", "deployments", "a", "d", "scale")),
    ("/apis/sea.dev/v1/namespaces/a/boats/b%2Fc", Target("sea.dev", "v1", "boats", "a", "b/c")),
    ("/api/v1/nodes/n/status", Target("", "v1", "nodes", name="n", subresource="status")),
    ("/api/v1/namespaces/a/pods/p/log/more", None),
    ("/api", None),
    ("/api/v1", None),
    ("/apis/apps", None),
    ("/apis/apps/v1", None),
    ("/version", None),
    ("/", None),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_paths(path: str, expected: Target | None) -> None:
    assert parse(path) == expected


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
ACCEPTED = [
    ("", ""),
    ("*/*", ""),
    ("application/json", ""),
    (f"{TABLE},application/json", "Table"),
    (f"application/vnd.kubernetes.protobuf;as=Table,{TABLE}", "Table"),
    ("application/vnd.kubernetes.protobuf, application/json", ""),
    ("application/json;as=Unknown, application/json", ""),
    ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "PartialObjectMetadataList"),
]


@pytest.mark.parametrize(("header", "form"), ACCEPTED)
def test_accept_headers(header: str, form: str) -> None:
    assert negotiate.accepted(header, ("Table", "PartialObjectMetadataList")).form == form


@pytest.mark.parametrize("header", ["application/vnd.kubernetes.protobuf", "text/html", "application/json;as=Unknown"])
def test_what_cannot_be_served_is_refused(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        negotiate.accepted(header, ("Table",))
    assert (caught.value.status, caught.value.reason) == (406, "NotAcceptable")
