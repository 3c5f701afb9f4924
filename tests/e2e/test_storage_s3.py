"""Models from a real S3-compatible server: moto's, in a virtual environment of its own (it needs other versions)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.instance import free_port
from runtimes.storage import fetch as fetching
from runtimes.storage.cache import Cache
from runtimes.storage.fetch import Fetched
from runtimes.storage.remotes import Final
from runtimes.storage.source import parse

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

VERSION = "5.2.5"
obstore = pytest.importorskip("obstore", reason="pip install 'tidegate[storage]'")


def moto() -> Path:
    """Return moto's server, installed on first use beside the user's caches."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate" / f"moto-{VERSION}"
    server = folder / "bin" / "moto_server"
    if not server.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"moto[s3,server]=={VERSION}"]
        subprocess.run(pip, check=True, timeout=240)
    return server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    port = free_port()
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    command = [str(moto()), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(process, f"http://127.0.0.1:{port}/moto-api/")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(url, timeout=20).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "moto did not start"
            time.sleep(0.05)


@pytest.fixture
def environ(endpoint: str) -> dict[str, str]:
    """As the annotations and keys of the old texts' MinIO Secret arrive at the fetching container."""
    return {
        "AWS_ACCESS_KEY_ID": "minio",
        "AWS_SECRET_ACCESS_KEY": "minio123",
        "AWS_DEFAULT_REGION": "us-east-1",
        "S3_ENDPOINT": endpoint,
        "S3_USE_HTTPS": "0",
        "S3_VERIFY_SSL": "0",
    }


def put(environ: dict[str, str], bucket: str, files: dict[str, bytes]) -> None:
    from obstore.store import S3Store

    store = S3Store(
        bucket,
        endpoint=f"http://{environ['S3_ENDPOINT']}",
        region="us-east-1",
        access_key_id=environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )
    for path, data in files.items():
        obstore.put(store, path, data)


@pytest.fixture
def bucket(environ: dict[str, str]) -> str:
    name = f"models-{time.time_ns()}"
    request = urllib.request.Request(f"http://{environ['S3_ENDPOINT']}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=60).close()
    put(environ, name, {"flowers/1/model.joblib": b"a" * 3_000_000, "flowers/1/config.json": b"{}", "other": b"o"})
    return name


async def fetch(uri: str, folder: Path, cache: Cache, environ: dict[str, str]) -> Fetched:
    return await fetching.fetch(parse(uri), folder, cache, timeout_s=90, environ=environ)


async def test_a_prefix_is_fetched_once_and_only_what_changed_again(
    bucket: str, environ: dict[str, str], tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")
    first = await fetch(f"s3://{bucket}/flowers", tmp_path / "a", cache, environ)
    assert (first.files, first.fetched_bytes) == (2, 3_000_002)
    assert sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*.*")) == [
        "1/config.json",
        "1/model.joblib",
    ]
    second = await fetch(f"s3://{bucket}/flowers", tmp_path / "b", cache, environ)
    assert (second.came_from, second.fetched_bytes) == ("cache", 0)

    put(environ, bucket, {"flowers/1/config.json": b"[1]"})
    third = await fetch(f"s3://{bucket}/flowers", tmp_path / "c", cache, environ)
    assert third.fetched_bytes == 3
    assert (tmp_path / "c" / "1" / "config.json").read_bytes() == b"[1]"


async def test_a_single_object(bucket: str, environ: dict[str, str], tmp_path: Path) -> None:
    done = await fetch(f"s3://{bucket}/other", tmp_path / "a", Cache(tmp_path / "cache"), environ)
    assert done.files == 1
    assert (tmp_path / "a" / "other").read_bytes() == b"o"


async def test_what_is_not_there_is_told_at_once(bucket: str, environ: dict[str, str], tmp_path: Path) -> None:
    for uri in (f"s3://{bucket}/nothing", "s3://no-such-bucket-here/m"):
        with pytest.raises(Final) as found:
            await fetch(uri, tmp_path / "a", Cache(tmp_path / "cache"), environ)
        assert "minio123" not in str(found.value)


def test_as_the_init_container_runs_it(bucket: str, environ: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtimes.storage", f"s3://{bucket}/flowers", str(tmp_path / "models"), "--json"]
    env = {**os.environ, **environ, "TIDEGATE_MODEL_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert '"came_from": "fetched"' in done.stdout
    assert "minio123" not in done.stdout + done.stderr
    assert (tmp_path / "models" / "1" / "model.joblib").stat().st_size == 3_000_000
    wrong = subprocess.run(
        [*command[:3], "ftp://h/m", "x"], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert wrong.returncode == 2
    assert "write one of file://" in wrong.stderr
