"""What storage URIs mean, what must be fetched, and which paths and archives are refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.storage import archive, listing
from runtimes.storage.archive import ArchiveError
from runtimes.storage.listing import Entry, Kept, ListingError
from runtimes.storage.source import Source, SourceError, parse

DIGEST = "a" * 64
URIS = [
    ("s3://models/flowers/1/", Source("s3", "models", "flowers/1")),
    ("gs://models", Source("gs", "models", "")),
    ("file:///srv/models/flowers", Source("file", "", "/srv/models/flowers")),
    ("https://h:8443/a%20b.tar.gz", Source("https", "h:8443", "a b.tar.gz", "https://h:8443/a%20b.tar.gz")),
    (f"http://h/m.bin#sha256={DIGEST}", Source("http", "h", "m.bin", "http://h/m.bin", DIGEST)),
    ("hf://owner/model", Source("hf", "owner/model", "", revision="main")),
    ("hf://owner/model:v2", Source("hf", "owner/model", "", revision="v2")),
    ("hf://owner/model@v2/onnx", Source("hf", "owner/model", "onnx", revision="v2")),
]


@pytest.mark.parametrize(("uri", "source"), URIS)
def test_uris(uri: str, source: Source) -> None:
    assert parse(uri) == source


REFUSED = [
    ("ftp://h/m", "write one of file://, http://"),
    ("models/flowers", "write one of"),
    ("pvc://claim/m", "a claim is mounted, not fetched"),
    ("s3:///m", "the bucket, repository or host is missing"),
    ("file://host/m", "without a host"),
    ("hf://owner", "write hf://owner/model"),
    ("https://h/m#md5=1", "only sha256=<64 hex digits> has a meaning"),
    ("https://user:secret@h/m", "credentials do not belong in a URI"),
    ("https://h:99999/m", "[Pp]ort"),
]


@pytest.mark.parametrize(("uri", "message"), REFUSED)
def test_refused_uris(uri: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as found:
        parse(uri)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(("path", "suffix"), [("m.tgz", ".tgz"), ("M.ZIP", ".zip"), ("m.mar", ""), ("m.joblib", "")])
def test_archives_are_known_by_their_suffix(path: str, suffix: str) -> None:
    assert parse(f"https://h/{path}").archive_suffix == suffix
    assert parse(f"s3://b/{path}").archive_suffix == ""


A, B = Entry("a", 1, "v1"), Entry("b", 2, "v1")
KEPT = [Kept("a", 1, "v1", "da"), Kept("b", 2, "v1", "db")]
PLANS = [
    ("all is here", [A, B], {"da", "db"}, []),
    ("a blob was lost", [A, B], {"da"}, [B]),
    ("a new version", [A, Entry("b", 2, "v2")], {"da", "db"}, [Entry("b", 2, "v2")]),
    ("another size", [Entry("a", 9, "v1")], {"da"}, [Entry("a", 9, "v1")]),
    ("no version: nothing is known of it", [Entry("a", 1)], {"da"}, [Entry("a", 1)]),
    ("one more file", [A, B, Entry("c", 1, "v")], {"da", "db"}, [Entry("c", 1, "v")]),
]


@pytest.mark.parametrize(("entries", "present", "wanted"), [row[1:] for row in PLANS], ids=[row[0] for row in PLANS])
def test_what_must_be_fetched(entries: list[Entry], present: set[str], wanted: list[Entry]) -> None:
    assert listing.missing(entries, KEPT, frozenset(present)) == wanted


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", ".", "a\0b", "a\\..\\b"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(ListingError, match="leads out of the folder"):
        listing.safe_path(path)


@given(st.text(alphabet="ab./\\\0", max_size=12))
def test_no_accepted_path_leads_out(path: str) -> None:
    try:
        safe = listing.safe_path(path)
    except ListingError:
        return
    assert (Path("/root") / safe).resolve().is_relative_to("/root")


@pytest.mark.parametrize(
    ("paths", "message"),
    [([], "there is nothing"), (["a", "a"], "listed twice"), (["a", "a/b"], "a file and a folder")],
)
def test_lists_that_cannot_lie_in_one_folder(paths: list[str], message: str) -> None:
    with pytest.raises(ListingError, match=message):
        listing.checked([Entry(path, 1) for path in paths], "s3://b")


def packed(folder: Path, kind: str, members: dict[str, bytes], *, link: str = "") -> Path:
    target = folder / f"m.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(target, "w") as zipped:
            for name, data in members.items():
                zipped.writestr(name, data)
            if link:
                info = zipfile.ZipInfo(link)
                info.external_attr = 0o120777 << 16
                zipped.writestr(info, "/etc/passwd")
        return target
    with tarfile.open(target, "w:gz" if kind == "tgz" else "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return target


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_archives(tmp_path: Path, kind: str) -> None:
    file = packed(tmp_path, kind, {"1/model.bin": b"x" * 10, "config.json": b"{}"})
    (tmp_path / "out").mkdir()
    found = archive.unpack(file, tmp_path / "out")
    assert {path: made.read_bytes() for path, made, _ in found} == {"1/model.bin": b"x" * 10, "config.json": b"{}"}


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
@pytest.mark.parametrize(
    ("members", "link", "limit", "message"),
    [
        ({"../evil": b"x"}, "", 100, "leads out"),
        ({"/etc/evil": b"x"}, "", 100, "leads out"),
        ({"a": b"x"}, "passwords", 100, "not a plain file"),
        ({"bomb": b"x" * 1000}, "", 100, "larger than 100 bytes"),
        ({}, "", 100, "no file in it"),
    ],
)
def test_archives_that_are_refused(
    tmp_path: Path, kind: str, members: dict[str, bytes], link: str, limit: int, message: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ArchiveError, match=message):
        archive.unpack(packed(tmp_path, kind, members, link=link), out, limit)
    assert not (tmp_path / "evil").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tar").write_bytes(b"not a tar file")
    with pytest.raises(ArchiveError):
        archive.unpack(tmp_path / "m.tar", tmp_path)
