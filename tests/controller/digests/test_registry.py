"""Digests from a real (small) registry over real sockets: tokens, indexes, and what registries do wrong."""

import pytest
from aiohttp import web

from controller.digests import reference
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
