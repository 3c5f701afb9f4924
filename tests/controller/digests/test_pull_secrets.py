"""Credentials of registries out of Secrets."""

import base64
import json

from controller.digests import pull_secrets
from tests.support.registry import pull_secret


def secret(document):
    text = document if isinstance(document, str) else json.dumps(document)
    return {"data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()}}


def test_names_of_pod_and_account_each_once():
    pod = {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}
    assert pull_secrets.names_of(pod, {"imagePullSecrets": [{"name": "b"}, {"name": "c"}, {}]}) == ["a", "b", "c"]
    assert pull_secrets.names_of({}, None) == []


def test_user_and_password_by_registry():
    found = pull_secrets.credentials(
        [
            pull_secret("a", "gcr.io", "ann", "pa:ss"),
            secret({"auths": {"https://index.docker.io/v1/": {"username": "bob", "password": "x"}}}),
            secret({"auths": {"gcr.io": {"username": "late", "password": "y"}}}),
        ]
    )
    assert found == {"gcr.io": ("ann", "pa:ss"), "index.docker.io": ("bob", "x")}


def test_what_cannot_be_read_says_nothing():
    broken = [
        {},
        {"data": {".dockerconfigjson": "!"}},
        secret("nonsense"),
        secret({"auths": []}),
        secret({"auths": {"a": 1, "b": {"auth": "!"}, "c": {"auth": base64.b64encode(b"nocolon").decode()}}}),
    ]
    assert pull_secrets.credentials(broken) == {}
