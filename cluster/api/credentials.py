"""The secrets of one cluster, made once and kept in the state folder: CA, server certificate, tokens, kubeconfig.

Every file with a secret is created with mode 0600. `cryptography` is imported only when something must be made, and a
server lets a child do it (`make_apart`), so that it does not carry the library in memory ever after.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CERTIFICATE_DAYS = 3650
SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the server needs to know about itself; files stay where they are."""

    ca_pem: str
    certificate_file: Path
    key_file: Path
    admin_token: str
    node_token: str
    signing_key: bytes

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS context the server listens with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate_file, self.key_file)
        context.set_alpn_protocols(["http/1.1"])
        return context


def ensure(folder: Path, host: str) -> Credentials:
    """Return the credentials kept in `folder`, making what is missing; the certificate is good for `host`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / "ca.crt").exists():
        _make_authority(folder)
    certificate, key = folder / f"server-{_safe(host)}.crt", folder / f"server-{_safe(host)}.key"
    if not certificate.exists():
        _make_server_certificate(folder, host, certificate, key)
    token, node_token, signing = (folder / name for name in ("admin.token", "node.token", "signing.key"))
    for file in (token, node_token, signing):
        if not file.exists():
            write_private(file, secrets.token_hex(32))
    tokens = (token.read_text(), node_token.read_text())
    return Credentials((folder / "ca.crt").read_text(), certificate, key, *tokens, bytes.fromhex(signing.read_text()))


def make_apart(folder: Path, host: str) -> None:
    """Make what is missing in a short-lived child, so that its libraries (12 MB) never enter this process.

    For the start of a process, before it has threads. A child that fails leaves the work, and the error, to `ensure`.
    """
    if (folder / f"server-{_safe(host)}.crt").exists():
        return
    child = os.fork()
    if child == 0:
        try:
            ensure(folder, host)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def write_private(path: Path, text: str) -> None:
    """Write `text` for the owner's eyes only, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def kubeconfig(server: str, credentials: Credentials, token: str) -> str:
    """Return the kubeconfig of `token`'s owner for the server at that URL, in JSON (which is YAML)."""
    import msgspec

    authority = base64.b64encode(credentials.ca_pem.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tidegate", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "tidegate", "user": {"token": token}}],
        "contexts": [{"name": "tidegate", "context": {"cluster": "tidegate", "user": "tidegate"}}],
        "current-context": "tidegate",
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _safe(host: str) -> str:
    return host.replace(":", "_")


def _make_authority(folder: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("tidegate-ca")
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    _save(folder / "ca.crt", folder / "ca.key", builder, key, key)


def _make_server_certificate(folder: Path, host: str, certificate: Path, key_file: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority_key: Any = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    own = _address(host)
    addresses = {ipaddress.ip_address("127.0.0.1")} | own
    dns_names = dict.fromkeys([*SERVER_NAMES, *([] if own else [host])])
    names: list[Any] = [x509.DNSName(name) for name in dns_names] + [x509.IPAddress(ip) for ip in addresses]
    builder = _builder(_name("tidegate-apiserver"), authority.subject, key.public_key())
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    _save(certificate, key_file, builder, key, authority_key)


def _address(host: str) -> set[Any]:
    try:
        return {ipaddress.ip_address(host)}
    except ValueError:
        return set()


def _name(common: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: Any, issuer: Any, public_key: Any) -> Any:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    return builder.not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))


def _usage(*, signs_certificates: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _save(certificate: Path, key_file: Path, builder: Any, key: Any, signer: Any) -> None:
    from cryptography.hazmat.primitives import hashes, serialization

    signed = builder.sign(signer, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key_file, private.decode())
    # The certificate comes last: its presence says that the pair is complete.
    write_private(certificate, signed.public_bytes(serialization.Encoding.PEM).decode())
