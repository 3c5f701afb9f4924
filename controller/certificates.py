"""The webhook's certificates: an authority made for one leaf and then forgotten, renewed long before they end.

Only the certificate of the authority is published; its key is never kept, so the leaf is all it ever signs.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.tls import authority

CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
PREVIOUS_CA = "previous-ca.crt"
"""The authority before the last renewal: other replicas serve its leaf until they look again."""
LIFETIME = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=120)
_CLOCK_SKEW = datetime.timedelta(hours=1)


def make(service: str, namespace: str, now: datetime.datetime) -> dict[str, str]:
    """Return a new authority certificate, leaf certificate and leaf key as PEM, for a Service's names."""
    ca_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{service}.{namespace} authority")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(authority.signing_usage(), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{service}.{namespace}.svc")])
    leaf = (
        _builder(leaf_name, ca_name, leaf_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_alternative_names(service, namespace), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return {
        CA: ca.public_bytes(serialization.Encoding.PEM).decode(),
        CERTIFICATE: leaf.public_bytes(serialization.Encoding.PEM).decode(),
        KEY: leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    }


def bundle(data: dict[str, str]) -> str:
    """Return what is to be trusted while stored certificates are in use, as PEM."""
    return data[CA] + data.get(PREVIOUS_CA, "")


def is_usable(data: dict[str, str], service: str, namespace: str, now: datetime.datetime) -> bool:
    """Whether stored certificates are whole, for this Service, and far from their end."""
    try:
        leaf = x509.load_pem_x509_certificate(data[CERTIFICATE].encode())
        authority = x509.load_pem_x509_certificate(data[CA].encode())
        leaf.verify_directly_issued_by(authority)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = serialization.load_pem_private_key(data[KEY].encode(), None)
    except (KeyError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    except Exception:  # an invalid signature has a class of its own in a private corner of the library
        return False
    is_for_us = f"{service}.{namespace}.svc" in names.get_values_for_type(x509.DNSName)
    return is_for_us and key.public_key() == leaf.public_key() and leaf.not_valid_after_utc - now > RENEW_BEFORE


def server_context(data: dict[str, str]) -> ssl.SSLContext:
    """Return the TLS context of a server with these certificates."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load(context, data)
    return context


def load(context: ssl.SSLContext, data: dict[str, str]) -> None:
    """Put certificates into a context; connections made from now on use them."""
    # The ssl module reads key pairs from files only: this one is never on a disk, and needs no folder to write to.
    descriptor = os.memfd_create("webhook-certificate")
    try:
        with open(descriptor, "w", closefd=False) as pair:
            pair.write(data[CERTIFICATE] + data[KEY])
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _alternative_names(service: str, namespace: str) -> x509.SubjectAlternativeName:
    hosts = [
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.cluster.local",
    ]
    return x509.SubjectAlternativeName(
        [*map(x509.DNSName, [*hosts, "localhost"]), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
