"""Tokens of service accounts: for whom they are, how long, and what they die with."""

from __future__ import annotations

import pytest

from cluster.api import tokens
from tests.cluster.api.conftest import Running
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client


def _pod(name: str = "p", account: str = "default") -> Object:
    spec = {"nodeName": "n", "serviceAccountName": account, "containers": [{"name": "c", "image": "x"}]}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def test_a_token_is_for_its_audiences_and_lives_no_longer_than_what_it_is_bound_to(client: Client) -> None:
    await client.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    made = await client.create(resources.PODS, _pod())
    uid = made["metadata"]["uid"]
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid}
    issued = await _issue(client, "default", audiences=["vault", "store"], boundObjectRef=reference)
    assert await _review(client, issued, ["store", "other"]) == ("system:serviceaccount:default:default", ["store"])
    assert await _review(client, issued, ["other"]) == ("", None)
    assert await _review(client, issued, None) == ("", None), "the API server is none of its audiences"
    own = await _issue(client, "default", boundObjectRef=reference)
    assert (await _review(client, own, None))[1] == [tokens.DEFAULT_AUDIENCE]
    assert (await _review(client, client.connection.token, None))[0] == "kubernetes-admin"
    assert (await _review(client, client.connection.token, ["vault"]))[0] == ""
    await client.delete(resources.PODS, "p", "default", grace_s=0)
    assert await _review(client, issued, ["store"]) == ("", None)
    assert await _review(client, own, None) == ("", None)


async def _issue(client: Client, account: str, **spec: object) -> str:
    request = {"metadata": {"name": account, "namespace": "default"}, "spec": {"expirationSeconds": 600, **spec}}
    issued = await client.create(resources.SERVICE_ACCOUNTS, request, subresource="token")
    return str(issued["status"]["token"])


async def _review(client: Client, token: str, audiences: list[str] | None) -> tuple[str, list[str] | None]:
    spec = {"token": token} | ({"audiences": audiences} if audiences else {})
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    answer = (await client._call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=review))["status"]
    assert bool(answer.get("authenticated")) == ("audiences" in answer)
    return answer["user"].get("username", ""), answer.get("audiences")


BAD_REQUESTS = [
    ({"expirationSeconds": 599}, "may not specify a duration less than 10 minutes"),
    ({"boundObjectRef": {"kind": "Deployment", "name": "p"}}, "cannot bind token for serviceaccount to object of type"),
    ({"boundObjectRef": {"kind": "Pod", "name": "gone"}}, 'pods "gone" not found'),
    ({"boundObjectRef": {"kind": "Pod", "name": "p", "uid": "other"}}, "does not match the UID in record"),
    ({"boundObjectRef": {"kind": "Pod", "name": "robot"}}, "runs as another service account"),
    ({"boundObjectRef": "p"}, "must be objects"),
    ({"boundObjectRef": {"kind": ["Pod"], "name": "p"}}, "cannot bind token for serviceaccount to object of type"),
    ({"audiences": "vault"}, "must be a list of texts"),
    ({"audiences": [{}]}, "must be a list of texts"),
]


async def test_requests_for_tokens_that_cannot_be(client: Client) -> None:
    for name in ("default", "robot"):
        await client.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": name, "namespace": "default"}})
    await client.create(resources.PODS, _pod())
    await client.create(resources.PODS, _pod("robot", "robot"))
    for spec, message in BAD_REQUESTS:
        with pytest.raises(ApiError, match=message):
            await _issue(client, "default", **spec)


@pytest.mark.parametrize("spec", ["x", {"token": "a.b", "audiences": 5}])
async def test_reviews_that_make_no_sense_are_refused(client: Client, spec: object) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    with pytest.raises(ApiError) as refused:
        await client._call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=review)
    assert refused.value.status == 400


def test_bytes_that_are_no_text_are_no_token(running: Running) -> None:
    # As they come out of a header.
    token = b"a\xff.\xfe".decode("utf-8", "surrogateescape")
    assert running.server.authenticator.user(f"Bearer {token}", 0.0) is None
