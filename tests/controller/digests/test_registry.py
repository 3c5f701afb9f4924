"""Digests from a real (small) registry over real sockets: tokens, indexes, and what registries do wrong."""

import gzip
import ipaddress

import pytest
from aiohttp import web

from controller.digests import reach, reference
from controller.digests.registry import MANIFEST_LIMIT_BYTES, LookupFailed, Registry
from tests.support.registry import TOKEN, FakeRegistry, basic, digest_of


@pytest.fixture
async def fake():
    async with FakeRegistry() as made:
        yield made


@pytest.fixture
async def registry():
    made = Registry()
    yield made
    await made.close()


async def ask(registry, fake, image="team/app:v1", credentials=None):
    return await registry.digest(reference.parse(f"{fake.host}/{image}"), credentials or {})


async def test_one_head_is_enough(registry, fake):
    digest = fake.push("team/app", "v1")
    assert await ask(registry, fake) == digest
    assert fake.calls == [("HEAD", "team/app", "")]


async def test_of_several_platforms_the_index_counts(registry, fake):
    digest = fake.push("team/app", "v1", platforms=4)
    assert await ask(registry, fake) == digest


async def test_a_token_is_fetched_when_the_registry_asks_for_one(registry, fake):
    digest = fake.push("team/app", "v1")
    fake.auth = "bearer"
    assert await ask(registry, fake) == digest
    assert fake.calls == [
        ("HEAD", "team/app", ""),
        ("TOKEN", "repository:team/app:pull", ""),
        ("HEAD", "team/app", f"Bearer {TOKEN}"),
    ]


async def test_a_password_is_for_its_own_registry_and_goes_to_the_token_server(registry, fake):
    digest = fake.push("team/app", "v1")
    fake.auth, fake.user = "bearer", ("ann", "secret")
    assert await ask(registry, fake, credentials={fake.host: ("ann", "secret")}) == digest
    with pytest.raises(LookupFailed, match=r"GET http://127\.0\.0\.1:\d+/token.*: unexpected status code 403"):
        await ask(registry, fake, credentials={"gcr.io": ("ann", "secret")})
    assert [said for _, _, said in fake.calls if said.startswith("Basic")] == [basic("ann", "secret")]


async def test_access_token_is_another_name_for_it(registry, fake):
    digest = fake.push("team/app", "v1")
    fake.auth, fake.token_answer = "bearer", {"access_token": TOKEN}
    assert await ask(registry, fake) == digest


async def test_basic_authentication(registry, fake):
    digest = fake.push("team/app", "v1")
    fake.auth, fake.user = "basic", ("ann", "secret")
    assert await ask(registry, fake, credentials={fake.host: ("ann", "secret")}) == digest
    with pytest.raises(LookupFailed, match="unexpected status code 401"):
        await ask(registry, fake)


@pytest.mark.parametrize("token", [{}, {"token": "a b"}, {"token": "a\r\nX: y"}, [], {"token": "wrong"}])
async def test_a_token_that_is_none(registry, fake, token):
    fake.push("team/app", "v1")
    fake.auth, fake.token_answer = "bearer", token
    with pytest.raises(LookupFailed, match=r"token|401"):
        await ask(registry, fake)


@pytest.mark.parametrize("realm", ["ftp://x/token", "file:///etc/passwd", "nonsense"])
async def test_a_realm_that_is_no_url_of_the_web(registry, fake, realm):
    fake.push("team/app", "v1")
    fake.auth, fake.realm = "bearer", realm
    with pytest.raises(LookupFailed, match="no way to authenticate"):
        await ask(registry, fake)


async def test_without_a_digest_in_the_head_the_bytes_are_counted(registry, fake):
    digest = fake.push("team/app", "v1")
    fake.answer = lambda request, body: web.Response(body=body)
    assert await ask(registry, fake) == digest
    assert [method for method, _, _ in fake.calls] == ["HEAD", "GET"]


async def test_a_registry_without_head(registry, fake):
    digest = fake.push("team/app", "v1")
    fake.answer = lambda request, body: (
        web.Response(status=405) if request.method == "HEAD" else web.Response(body=body)
    )
    assert await ask(registry, fake) == digest


@pytest.mark.parametrize("digest", ["sha256:12", "md5:" + "0" * 64, "sha256:" + "G" * 64])
async def test_a_digest_that_is_none(registry, fake, digest):
    fake.push("team/app", "v1")
    fake.answer = lambda request, body: web.Response(headers={"Docker-Content-Digest": digest})
    with pytest.raises(LookupFailed, match="says a digest that is none"):
        await ask(registry, fake)


async def test_a_digest_that_is_not_that_of_the_bytes(registry, fake):
    fake.push("team/app", "v1")

    def lie(request, body):
        wrong = {"Docker-Content-Digest": digest_of(b"something else")}
        return web.Response(status=405) if request.method == "HEAD" else web.Response(body=body, headers=wrong)

    fake.answer = lie
    with pytest.raises(LookupFailed, match="the manifest's digest is sha256:"):
        await ask(registry, fake)


async def test_an_answer_without_end(registry, fake):
    fake.push("team/app", "v1")
    fake.answer = lambda request, body: (
        web.Response(status=405) if request.method == "HEAD" else web.Response(body=b"x" * (MANIFEST_LIMIT_BYTES + 1))
    )
    with pytest.raises(LookupFailed, match="the answer is over"):
        await ask(registry, fake)


@pytest.mark.parametrize("status", [403, 404, 500, 429])
async def test_a_refusal_names_the_call_and_the_status(registry, fake, status):
    fake.push("team/app", "v1")
    fake.answer = lambda request, body: web.Response(status=status)
    with pytest.raises(
        LookupFailed, match=rf"http://127\.0\.0\.1:\d+/v2/team/app/manifests/v1: unexpected status code {status}"
    ):
        await ask(registry, fake)


async def test_a_registry_that_is_not_there(registry, fake):
    image = reference.parse("127.0.0.1:1/team/app:v1")
    with pytest.raises(LookupFailed, match=r"HEAD http://127\.0\.0\.1:1/v2/team/app/manifests/v1: "):
        await registry.digest(image, {})


async def test_a_redirect_does_not_take_the_password_along(registry, fake):
    async with FakeRegistry() as other:
        digest = other.push("team/app", "v1")
        fake.push("team/app", "v1")
        fake.auth, fake.user = "basic", ("ann", "secret")
        fake.answer = lambda request, body: web.Response(
            status=307, headers={"Location": f"http://localhost:{other.port}{request.path}"}
        )
        assert await ask(registry, fake, credentials={fake.host: ("ann", "secret")}) == digest
        assert [said for _, _, said in other.calls] == [""]


# --- registries that mean harm ---


async def test_who_a_redirect_leads_to_gets_no_password_by_a_challenge_of_its_own(registry, fake):
    async with FakeRegistry() as other:
        other.push("team/app", "v1")
        other.auth = "bearer"
        fake.push("team/app", "v1")
        fake.answer = lambda request, body: web.Response(
            status=307, headers={"Location": f"http://localhost:{other.port}{request.path}"}
        )
        with pytest.raises(LookupFailed, match="unexpected status code 401"):
            await ask(registry, fake, credentials={fake.host: ("ann", "secret")})
        assert [call for call in other.calls if call[0] == "TOKEN" or call[2]] == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "2852039166", "0xa9.0xfe.0xa9.0xfe", "[::ffff:a9fe:a9fe]"]
)
@pytest.mark.parametrize("way", ["realm", "redirect"])
async def test_nobody_is_sent_to_a_metadata_server(registry, fake, host, way):
    """Its answer would be a token, which the registry would be given."""
    fake.push("team/app", "v1")
    if way == "realm":
        fake.auth, fake.realm = "bearer", f"http://{host}/computeMetadata/v1/token"
    else:
        fake.answer = lambda request, body: web.Response(status=307, headers={"Location": f"http://{host}/latest"})
    with pytest.raises(LookupFailed, match="link-local address: not asked"):
        await ask(registry, fake)


def test_this_machine_is_asked_for_registries_of_this_machine_alone():
    loopback, private = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("10.1.2.3")
    assert reach.flaw(loopback, is_registry_local=False) == "an address of this machine"
    assert reach.flaw(loopback, is_registry_local=True) == ""
    assert reach.flaw(private, is_registry_local=False) == ""


async def test_a_packed_answer_is_counted_and_never_unpacked(registry, fake):
    fake.push("team/app", "v1")
    packed = gzip.compress(b"x" * (MANIFEST_LIMIT_BYTES * 4))
    seen = []

    def answer(request, body):
        seen.append(request.headers["Accept-Encoding"])
        if request.method == "HEAD":
            return web.Response(status=405)
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    fake.answer = answer
    assert await ask(registry, fake) == digest_of(packed)
    assert set(seen) == {"identity"}


async def test_redirects_end(registry, fake):
    fake.push("team/app", "v1")
    fake.answer = lambda request, body: web.Response(status=307, headers={"Location": request.path})
    with pytest.raises(LookupFailed, match="more than 3 redirects"):
        await ask(registry, fake)
    assert len(fake.calls) == 4


@pytest.mark.parametrize("realm", ["http://[::1", "http://a:99999/token", "http://a b/token"])
async def test_a_realm_that_is_no_url_fails_like_any_other(registry, fake, realm):
    fake.push("team/app", "v1")
    fake.auth, fake.realm = "bearer", realm
    with pytest.raises(LookupFailed):
        await ask(registry, fake)
