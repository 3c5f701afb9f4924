"""The webhook over TLS, its Secret, and what the API server is made to trust."""

import base64
import ssl

import aiohttp
import msgspec
import pytest

from controller import certificates
from controller.cluster_config import ClusterConfig
from controller.webhook import CERTIFICATES_SECRET, CONFIGURATIONS, Webhook
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable

SYSTEM = "tidegate-system"


def configuration(name):
    hooks = [{"name": name, "clientConfig": {"service": {"namespace": SYSTEM, "name": "webhook"}}, "rules": []}]
    return {"metadata": {"name": name}, "webhooks": hooks}


@pytest.fixture
async def api():
    made = FakeApi()
    for resource, name in CONFIGURATIONS:
        await made.create(resource, configuration(name))
    return made


@pytest.fixture
async def webhook(api):
    made = Webhook(api, SYSTEM, ClusterConfig)
    await made.start("127.0.0.1", 0)
    yield made
    await made.close()


def trusted_ca(api):
    resource, name = CONFIGURATIONS[0]
    bundle = api.peek(resource, name)["webhooks"][0]["clientConfig"]["caBundle"]
    return base64.b64decode(bundle).decode()


async def ask(webhook, api, path, request):
    context = ssl.create_default_context(cadata=trusted_ca(api))
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{webhook.port}{path}"
        body = request if isinstance(request, bytes) else msgspec.json.encode({"request": request})
        async with session.post(url, data=body, ssl=context, server_hostname="webhook.tidegate-system.svc") as answer:
            return answer.status, await answer.read()


def review(**spec):
    obj = {"kind": "Service", "metadata": {"name": "a", "namespace": "b"}, "spec": spec}
    return {"uid": "u", "object": obj, "oldObject": None, "userInfo": {"username": "ann"}}


async def test_the_api_server_is_made_to_trust_and_is_answered(webhook, api):
    await webhook.check()
    assert webhook.is_trusted
    status, body = await ask(webhook, api, "/validation", review(template={}, traffic=[]))
    answer = msgspec.json.decode(body)
    assert status == 200
    assert answer["kind"] == "AdmissionReview"
    assert answer["response"]["uid"] == "u"
    assert "missing field(s): spec.template.spec.containers" in answer["response"]["status"]["message"]
    status, body = await ask(webhook, api, "/defaulting", review(template={"spec": {"containers": [{}]}}))
    assert msgspec.json.decode(body)["response"]["patchType"] == "JSONPatch"


@pytest.mark.parametrize("body", [b"not json", b"{}", b'{"request": 5}'])
async def test_nonsense_is_a_bad_request(webhook, api, body):
    await webhook.check()
    assert (await ask(webhook, api, "/validation", body))[0] == 400


async def test_a_restart_keeps_the_certificates(webhook, api):
    await webhook.check()
    before = trusted_ca(api)
    again = Webhook(api, SYSTEM, ClusterConfig)
    await again.start("127.0.0.1", 0)
    await again.check()
    await again.close()
    assert trusted_ca(api) == before
    assert len([call for call in api.calls if call[:2] == ("create", "secrets")]) == 1


async def test_what_is_right_already_is_not_written_again(webhook, api):
    await webhook.check()
    before = len(api.calls)
    await webhook.check()
    assert {verb for verb, _, _ in api.calls[before:]} == {"get"}


async def test_unusable_certificates_in_the_secret_are_replaced(api):
    broken = {"data": {certificates.CA: base64.b64encode(b"x").decode()}}
    await api.create(resources.SECRETS, {"metadata": {"name": CERTIFICATES_SECRET, "namespace": SYSTEM}} | broken)
    made = Webhook(api, SYSTEM, ClusterConfig)
    await made.start("127.0.0.1", 0)
    await made.close()
    assert certificates.KEY in api.peek(resources.SECRETS, CERTIFICATES_SECRET, SYSTEM)["data"]


async def test_without_webhook_configurations_it_is_not_trusted_yet():
    api = FakeApi()
    made = Webhook(api, SYSTEM, ClusterConfig)
    await made.start("127.0.0.1", 0)
    await made.check()
    await made.close()
    assert not made.is_trusted


POD = {"template": {"spec": {"containers": [{"name": "a", "image": "hello"}]}}, "traffic": [{"percent": 100}]}


def asked(spec=POD, *, annotations=None, kind="Service", **more):
    made = review(**{**spec, "template": spec["template"] | {"metadata": {"annotations": annotations or {}}}})
    made["object"] |= {"kind": kind}
    return made | more


async def verdict(webhook, api, request):
    _, body = await ask(webhook, api, "/validation", request)
    return msgspec.json.decode(body)["response"]


async def test_a_dry_run_tries_the_pod_and_tells_what_the_api_server_says(webhook, api):
    await webhook.check()
    answer = await verdict(webhook, api, asked(dryRun=True))
    assert answer["allowed"]
    assert api.calls[-1] == ("create", "pods", "")
    api.refuse("create", resources.PODS, ApiError(422, "Invalid", 'Pod "x" is invalid: spec.containers[0].image'))
    answer = await verdict(webhook, api, asked(dryRun=True))
    assert not answer["allowed"]
    assert answer["status"]["message"] == (
        'validation callback failed: dry run failed with Pod "x" is invalid: spec.containers[0].image: spec.template'
    )
    assert api.all(resources.PODS) == []


@pytest.mark.parametrize(
    ("request_", "is_tried"),
    [
        (asked(), False),
        (asked(annotations={"features.knative.dev/podspec-dryrun": "enabled"}), True),
        (asked(annotations={"features.knative.dev/podspec-dryrun": "Strict"}), True),
        (asked(annotations={"features.knative.dev/podspec-dryrun": "disabled"}), False),
        (asked(kind="Configuration", dryRun=True), True),
        (asked(dryRun=True, subResource="status"), False),
    ],
)
async def test_when_the_pod_is_tried(webhook, api, request_, is_tried):
    await webhook.check()
    assert (await verdict(webhook, api, request_))["allowed"]
    assert (("create", "pods", "") in api.calls) is is_tried


@pytest.mark.parametrize(
    "error",
    [ApiError(400, "BadRequest", 'admission webhook "x" does not support dry run'), Unreachable("no answer")],
)
async def test_a_server_that_cannot_say_is_no_reason_unless_the_template_is_strict(webhook, api, error):
    await webhook.check()
    for annotation, is_allowed in (("enabled", True), ("strict", False)):
        api.refuse("create", resources.PODS, error)
        request = asked(annotations={"features.knative.dev/podspec-dryrun": annotation})
        assert (await verdict(webhook, api, request))["allowed"] is is_allowed


@pytest.mark.parametrize(
    ("user", "spec", "is_allowed"),
    [
        ("ann", {"nodeSelector": {"gpu": "a"}}, False),
        ("system:serviceaccount:tidegate-system:controller", {"nodeSelector": {"gpu": "a"}}, True),
        ("system:serviceaccount:tidegate-system:controller", {"tolerations": [], "affinity": {}}, True),
        ("system:serviceaccount:tidegate-system:controller", {"hostNetwork": True}, False),
        ("system:serviceaccount:other:controller", {"nodeSelector": {"gpu": "a"}}, False),
    ],
)
async def test_the_controllers_own_services_have_what_models_need(webhook, api, user, spec, is_allowed):
    await webhook.check()
    template = {"spec": {"containers": [{"name": "c", "image": "x"}], **spec}}
    request = review(template=template, traffic=[{"latestRevision": True, "percent": 100}])
    status, body = await ask(webhook, api, "/validation", request | {"userInfo": {"username": user}})
    assert (status, msgspec.json.decode(body)["response"]["allowed"]) == (200, is_allowed), body


async def test_a_renewal_is_trusted_before_it_is_used_and_beside_what_was(webhook, api, monkeypatch):
    await webhook.check()
    before = trusted_ca(api)
    used = []
    monkeypatch.setattr(certificates, "load", lambda _context, data: used.append((trusted_ca(api), data["ca.crt"])))
    monkeypatch.setattr(certificates, "RENEW_BEFORE", certificates.LIFETIME * 2)
    await webhook.check()
    ((trusted, new),) = used
    assert trusted == new + before
    assert new != before
    assert trusted_ca(api) == trusted


async def test_another_replica_goes_on_with_the_old_leaf_until_it_looks(webhook, api, monkeypatch):
    await webhook.check()
    other = Webhook(api, SYSTEM, ClusterConfig)
    await other.start("127.0.0.1", 0)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(certificates, "RENEW_BEFORE", certificates.LIFETIME * 2)
            await webhook.check()
        for one in (webhook, other):
            assert (await verdict(one, api, asked()))["allowed"]
        await other.check()
        assert (await verdict(other, api, asked()))["allowed"]
    finally:
        await other.close()
