"""Finding the API server: precedence, both spellings of certificates, and errors that name the field."""

from __future__ import annotations

import base64

import pytest
import yaml

from tidegate.kube import connect


def write(path, user=None, cluster=None, **extra):
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
    } | extra
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_kubeconfig_is_read_with_embedded_and_with_named_certificates(tmp_path):
    (tmp_path / "ca.crt").write_text("PEM")
    embedded = write(tmp_path / "a", cluster={"certificate-authority-data": base64.b64encode(b"PEM").decode()})
    named = write(tmp_path / "b", cluster={"certificate-authority": "ca.crt"})
    for path in (embedded, named):
        found = connect.load(path)
        assert (found.server, found.token, found.ca_pem, found.namespace) == (
            "https://127.0.0.1:6443",
            "secret",
            "PEM",
            "team",
        )


def test_the_token_never_shows_in_a_repr(tmp_path):
    assert "secret" not in repr(connect.load(write(tmp_path / "a")))


def test_an_explicit_path_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "env", user={"token": "env"})))
    assert connect.load().token == "env"
    assert connect.load(write(tmp_path / "flag", user={"token": "flag"})).token == "flag"


def test_inside_a_pod_the_service_account_files_are_used(tmp_path, monkeypatch):
    for name, text in {"token": "pod-token\n", "ca.crt": "PEM", "namespace": "tidegate-system"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(connect, "SERVICE_ACCOUNT_DIR", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = connect.load()
    assert (found.server, found.token, found.namespace) == ("https://10.0.0.1:443", "pod-token", "tidegate-system")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"current-context": "other"}, "no entry 'other' under 'contexts'"),
        ({"clusters": []}, "no entry 'c' under 'clusters'"),
        ({"users": [{"name": "u", "user": {"exec": {}}}]}, "exec or auth-provider"),
    ],
)
def test_errors_name_what_is_missing(tmp_path, change, expected):
    with pytest.raises(connect.ConnectError, match=expected):
        connect.load(write(tmp_path / "k", **change))


def test_a_token_of_a_file_is_read_again_and_a_lost_file_changes_nothing(tmp_path):
    file, now = tmp_path / "token", 100.0
    file.write_text("first\n")
    bearer = connect.Bearer(connect.Connection("https://x", "first", token_file=str(file)), lambda: now)
    file.write_text("second\n")
    assert bearer.token() == "first"
    now += connect.TOKEN_REREAD_S
    assert bearer.token() == "second"
    file.unlink()
    now += connect.TOKEN_REREAD_S
    assert bearer.token() == "second"


def test_a_user_without_a_home_is_told_what_is_missing(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(connect, "SERVICE_ACCOUNT_DIR", connect.Path("/nowhere"))
    with pytest.raises(connect.ConnectError, match="set KUBECONFIG"):
        connect.load()
