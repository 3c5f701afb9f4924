"""The webhook's certificates."""

import datetime
import ssl

import pytest

from controller import certificates

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def made():
    return certificates.make("webhook", "tidegate-system", NOW)


def usable(data, *, days=0, service="webhook"):
    return certificates.is_usable(data, service, "tidegate-system", NOW + datetime.timedelta(days=days))


def test_new_certificates_are_usable_for_their_service_only(made):
    assert usable(made)
    assert not usable(made, service="other")


def test_they_are_renewed_long_before_they_end(made):
    assert usable(made, days=200)
    assert not usable(made, days=300)


@pytest.mark.parametrize("key", [certificates.CA, certificates.CERTIFICATE, certificates.KEY])
def test_anything_missing_broken_or_foreign_is_noticed(made, key):
    other = certificates.make("webhook", "tidegate-system", NOW)
    assert not usable({name: text for name, text in made.items() if name != key})
    assert not usable(made | {key: "nonsense"})
    assert not usable(made | {key: other[key]})


def test_a_server_context_takes_them(made):
    context = certificates.server_context(made)
    assert isinstance(context, ssl.SSLContext)
    certificates.load(context, certificates.make("webhook", "tidegate-system", NOW))
