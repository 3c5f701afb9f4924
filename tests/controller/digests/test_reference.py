"""Names of images, taken apart as Docker does."""

import pytest

from controller.digests import reference
from controller.digests.reference import Reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", Reference("index.docker.io", "library/nginx", "latest")),
        ("nginx:1.27", Reference("index.docker.io", "library/nginx", "1.27")),
        ("docker.io/nginx", Reference("index.docker.io", "library/nginx", "latest")),
        ("team/app:v1", Reference("index.docker.io", "team/app", "v1")),
        ("gcr.io/team/app", Reference("gcr.io", "team/app", "latest")),
        ("localhost/app:v1", Reference("localhost", "app", "v1")),
        ("127.0.0.1:5000/a/b/c:v1", Reference("127.0.0.1:5000", "a/b/c", "v1")),
        (f"gcr.io/team/app@{DIGEST}", Reference("gcr.io", "team/app", digest=DIGEST)),
        (f"gcr.io/team/app:v1@{DIGEST}", Reference("gcr.io", "team/app", digest=DIGEST)),
    ],
)
def test_parts(image, expected):
    assert reference.parse(image) == expected


@pytest.mark.parametrize(
    "image",
    [
        "",
        "Nginx",
        "gcr.io/",
        "a:b:c",
        "nginx@sha256:12",
        "a//b",
        "a b",
        "a.b?c/x",
        "a.b#/x",
        "a.b\\\\c/x",
        "u:p.x/y",
        "a..b/x",
        "a.b:/x",
    ],
)
def test_what_is_no_image(image):
    with pytest.raises(ValueError, match="could not parse reference"):
        reference.parse(image)


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("localhost:5000", True),
        ("registry.local", True),
        ("127.0.0.1:5000", True),
        ("10.0.0.1", True),
        ("192.168.1.5:5000", True),
        ("8.8.8.8", False),
        ("gcr.io", False),
        ("localhost.evil.com", False),
    ],
)
def test_which_registries_are_spoken_to_without_tls(registry, expected):
    assert Reference(registry, "app", "v1").is_insecure is expected
