"""The authority signs what real TLS clients accept, and says in plain words what it cannot use."""

import datetime
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from controller.tls import authority, plan
from tidegate.process import key_pair

NOW = 1_790_000_000.0
DAY_S = 86400.0
HOSTS = ["hello.default.localhost", "*.default.localhost"]


@pytest.fixture(scope="module")
def data():
    return authority.make(NOW)


@pytest.fixture(scope="module")
def signer(data):
    return authority.read(data, NOW)


def test_what_it_signs_is_known_as_its_own(signer):
    leaf = authority.issue(signer, HOSTS, NOW)
    found = authority.facts(leaf, NOW, signer)
    assert (found.problem, found.is_ours, found.names) == ("", True, tuple(HOSTS))
    assert found.not_after == NOW + plan.LEAF_LIFETIME_S
    other = authority.read(authority.make(NOW), NOW)
    assert not authority.facts(leaf, NOW, other).is_ours


def test_nothing_lives_longer_than_the_authority(data, signer):
    late = signer.not_after - 10 * DAY_S
    assert authority.facts(authority.issue(signer, HOSTS, late), late).not_after == signer.not_after
    with pytest.raises(authority.BadPair, match="ended"):
        authority.read(data, signer.not_after)


def test_names_too_long_for_a_common_name_are_alternative_names(signer):
    host = f"{'a' * 60}.{'b' * 60}.example.com"
    leaf = x509.load_pem_x509_certificate(authority.issue(signer, [host], NOW)["tls.crt"].encode())
    assert list(leaf.subject) == []
    assert authority.facts(authority.issue(signer, [host], NOW), NOW).names == (host,)


def test_a_new_authority_goes_on_publishing_the_one_before(data):
    second = authority.make(NOW, previous=data["tls.crt"])
    assert authority.read(second, NOW).bundle == second["tls.crt"] + data["tls.crt"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tls.crt": ""}, "no tls.crt"),
        ({"tls.key": ""}, "no tls.key"),
        ({"tls.crt": "nonsense"}, "no PEM certificate"),
        ({"tls.key": "nonsense"}, "no PEM private key"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said(signer, change, said):
    leaf = authority.issue(signer, HOSTS, NOW)
    assert said in authority.facts(leaf | change, NOW).problem


def test_a_foreign_key_and_an_ended_certificate_are_told(signer):
    leaf, other = authority.issue(signer, HOSTS, NOW), authority.issue(signer, HOSTS, NOW)
    assert "does not belong" in authority.facts(leaf | {"tls.key": other["tls.key"]}, NOW).problem
    assert "ended on" in authority.facts(leaf, NOW + 91 * DAY_S).problem
    with pytest.raises(authority.BadPair, match="CA:FALSE"):
        authority.read(leaf, NOW)


def own_signed(key, begins: float = NOW - DAY_S, alternatives: bytes = b""):
    """Return a pair as a user may bring it; `alternatives` is DER that stands where its names should."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(begins, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(NOW + 90 * DAY_S, datetime.UTC))
    )
    if alternatives:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), alternatives), False
        )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signed = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {"tls.crt": signed.decode(), "tls.key": private.decode()}


def test_what_no_server_or_client_would_take_is_told_before_it_is_served():
    ec_key = ec.generate_private_key(ec.SECP256R1())
    table = [
        (own_signed(rsa.generate_private_key(65537, 1024)), "KEY_TOO_SMALL"),
        (own_signed(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
        (own_signed(ec_key, begins=NOW + DAY_S), "begins on"),
        (own_signed(ec_key, alternatives=b"\x30\x05garba"), "servers refuse"),
        (own_signed(ec_key) | {"tls.crt": own_signed(ec_key)["tls.crt"] * 500}, "characters"),
    ]
    for pair, said in table:
        found = authority.facts(pair, NOW)
        assert said in found.problem
        assert not found.is_usable
        assert "PRIVATE" not in found.problem
    assert authority.facts(own_signed(ec_key, begins=NOW + 30.0), NOW).is_usable


def test_names_of_a_kind_that_nobody_reads_are_none():
    pair = own_signed(ec.generate_private_key(ec.SECP256R1()), alternatives=bytes.fromhex("3004a3023000"))
    assert authority.facts(pair, NOW).names == ()


def test_no_text_of_an_authority_holds_its_key(signer):
    assert "PRIVATE" not in repr(signer)
    assert str(signer.key) not in repr(signer)


def shake_hands(leaf, trusted: str, host: str) -> str:
    """Return the version of TLS that a verifying client and a server agree on."""
    server = key_pair.server_context(leaf["tls.crt"], leaf["tls.key"])
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    theirs.settimeout(30)

    def serve() -> None:
        with server.wrap_socket(theirs, server_side=True) as connection:
            connection.recv(1)

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        with ssl.create_default_context(cadata=trusted).wrap_socket(ours, server_hostname=host) as connection:
            connection.send(b"x")
            return connection.version()
    finally:
        serving.join()


def test_a_client_that_trusts_the_bundle_accepts_it():
    now = time.time()
    signer = authority.read(authority.make(now), now)
    leaf = authority.issue(signer, HOSTS, now)
    assert shake_hands(leaf, signer.bundle, "hello.default.localhost") == "TLSv1.3"
    assert shake_hands(leaf, leaf["ca.crt"], "other.default.localhost") == "TLSv1.3"


def test_an_intermediate_of_the_users_own_signs_and_goes_with_the_leaf():
    now = time.time()
    begin, end = (datetime.datetime.fromtimestamp(now + days * DAY_S, datetime.UTC) for days in (-1, 365))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "between")])
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])

    def certificate(subject, issuer, public, signing):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(signing, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )

    root_pem = certificate(root_name, root_name, root_key.public_key(), root_key)
    between_pem = certificate(name, root_name, key.public_key(), root_key)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    signer = authority.read({"tls.crt": between_pem, "tls.key": key_pem, "ca.crt": root_pem}, now)
    leaf = authority.issue(signer, HOSTS, now)
    assert signer.bundle == root_pem
    assert shake_hands(leaf, root_pem, HOSTS[0]) == "TLSv1.3"
