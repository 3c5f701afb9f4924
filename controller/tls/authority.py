"""X.509: an authority of our own, the certificates that it signs, and what a given certificate says.

It makes keys and reads no clock: `now` is seconds since 1970. Nothing here logs, and no error holds a key.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.tls import plan
from controller.tls.plan import PairFacts
from tidegate.contracts import names
from tidegate.process import key_pair

CLOCK_SKEW_S = 3600.0
COMMON_NAME_LIMIT = 64
MAKERS_CLOCK_S = 60.0
"""How far the clock of who makes certificates may be ahead of this one."""
NAMES_LIMIT = 100
CHAIN_LIMIT = 65536
"""Characters of a certificate with its chain: each handshake sends it, and clients take about 100 kB at most."""
AUTHORITY_NAME = "Tidegate certificate authority"
_SIGNING = (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""Those that clients accept in certificates (RFC 8446, 4.2.3)."""
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class BadPair(ValueError):
    """A certificate and key that cannot be used; the message says why."""


@dataclass(frozen=True)
class Authority:
    """A certificate that may sign others, its key, and `bundle`: what clients are to trust, as PEM."""

    certificate: x509.Certificate
    key: _Key = field(repr=False)
    chain: str
    bundle: str
    not_after: float


def make(now: float, previous: str = "") -> dict[str, str]:
    """Return a new authority as a Secret's data; `previous` is the PEM of one that clients go on trusting."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    certificate = (
        _builder(name, name, key.public_key(), now, plan.AUTHORITY_LIFETIME_S)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(signing_usage(), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = _pem(certificate)
    return {names.CERTIFICATE_FIELD: text, names.KEY_FIELD: _key_pem(key), names.CA_FIELD: text + previous}


def read(data: Mapping[str, str], now: float) -> Authority:
    """Return the authority in a Secret's data (`tls.crt`, `tls.key`, perhaps `ca.crt`); raises BadPair."""
    chain, key = _load(data)
    certificate = chain[0]
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise BadPair("tls.crt is no certificate of an authority (basic constraints say CA:FALSE): give one that is")
    not_after = certificate.not_valid_after_utc.timestamp()
    if now >= not_after:
        raise BadPair(f"tls.crt ended on {certificate.not_valid_after_utc:%Y-%m-%d}: give a new one")
    is_root = certificate.issuer == certificate.subject
    bundle = data.get(names.CA_FIELD) or "".join(map(_pem, chain))
    # A client that trusts the root needs what is between it and the leaf; the root itself it has.
    between = "".join(_pem(one) for one in chain if one.issuer != one.subject)
    return Authority(certificate, key, "" if is_root else between, bundle, not_after)


def issue(authority: Authority, hosts: Sequence[str], now: float, *, for_clients: bool = False) -> dict[str, str]:
    """Return a new certificate for `hosts` and its key as a Secret's data, signed by `authority`.

    It lives `plan.LEAF_LIFETIME_S`, no longer than the authority. `for_clients`: it may also be shown by a client.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    short = [host for host in hosts if len(host) <= COMMON_NAME_LIMIT][:1]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host) for host in short])
    lifetime_s = min(plan.LEAF_LIFETIME_S, authority.not_after - now)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if for_clients else [])]
    alternatives = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts[:NAMES_LIMIT]])
    is_modern = isinstance(authority.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    certificate = (
        _builder(name, authority.certificate.subject, key.public_key(), now, lifetime_s)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(alternatives, critical=not short)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_key_identifier(authority.certificate), critical=False)
        .sign(authority.key, None if is_modern else hashes.SHA256())
    )
    leaf = _pem(certificate) + authority.chain
    return {names.CERTIFICATE_FIELD: leaf, names.KEY_FIELD: _key_pem(key), names.CA_FIELD: authority.bundle}


def facts(data: Mapping[str, str], now: float, authority: Authority | None = None) -> PairFacts:
    """Return what the key pair in a Secret's data is; with `authority`, also whether that one has signed it."""
    try:
        chain, _ = _load(data)
        _try(data)
    except BadPair as error:
        return PairFacts(problem=str(error))
    leaf = chain[0]
    not_before, not_after = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    problem = "" if now < not_after else f"tls.crt ended on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it"
    if now < not_before - MAKERS_CLOCK_S:
        problem = f"tls.crt begins on {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: wait, or give one that is valid"
    is_ours = authority is not None and _is_signed_by(leaf, authority.certificate)
    # Ours must also carry the current bundle: clients take what to trust from the same Secret.
    is_ours = is_ours and authority is not None and data.get(names.CA_FIELD) == authority.bundle
    return PairFacts(_hosts(leaf), not_before, not_after, is_ours, problem)


def _try(data: Mapping[str, str]) -> None:
    """Load a pair as servers will: they refuse more than cannot be read (short keys, weak digests, odd curves)."""
    try:
        key_pair.server_context(data[names.CERTIFICATE_FIELD], data[names.KEY_FIELD])
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or "not readable"
        raise BadPair(f"servers refuse tls.crt or tls.key ({reason}): give a stronger key and certificate") from None


def _load(data: Mapping[str, str]) -> tuple[list[x509.Certificate], _Key]:
    for part in (names.CERTIFICATE_FIELD, names.KEY_FIELD):
        if not data.get(part):
            raise BadPair(f"it has no {part}: make it with `kubectl create secret tls`")
    if len(data[names.CERTIFICATE_FIELD]) > CHAIN_LIMIT:
        raise BadPair(f"tls.crt has more than {CHAIN_LIMIT} characters: leave out what is not in the chain")
    try:
        chain = x509.load_pem_x509_certificates(data[names.CERTIFICATE_FIELD].encode())
        public = chain[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadPair("tls.crt is no PEM certificate, or has a key of an unknown kind") from None
    try:
        key = serialization.load_pem_private_key(data[names.KEY_FIELD].encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadPair("tls.key is no PEM private key without a password") from None
    if not isinstance(key, _SIGNING) or key.public_key() != public:
        raise BadPair("tls.key does not belong to tls.crt")
    if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, _CURVES):
        raise BadPair(f"tls.key is on curve {key.curve.name}, which clients refuse: take P-256, P-384 or P-521")
    return chain, key


def _hosts(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()
    return tuple(name.lower() for name in found.get_values_for_type(x509.DNSName))


def _is_signed_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, lifetime_s: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(now - CLOCK_SKEW_S))
        .not_valid_after(_date(now + lifetime_s))
    )


def _key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def signing_usage() -> x509.KeyUsage:
    """Return what the key of an authority is for."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _date(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
