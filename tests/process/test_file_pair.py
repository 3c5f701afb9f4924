"""A certificate and its key as files: read once, and again when either changes."""

from __future__ import annotations

import logging

from tidegate.process.file_pair import FilePair


def test_contents_are_given_once_and_again_after_a_change(tmp_path, caplog):
    first, second = tmp_path / "a", tmp_path / "b"
    pair = FilePair(first, second)
    with caplog.at_level(logging.ERROR):
        assert pair.look() is None
        assert pair.look() is None
    assert len(caplog.records) == 1  # missing: told once
    first.write_text("1")
    assert pair.look() is None
    second.write_text("2")
    assert pair.look() == ("1", "2")
    assert pair.look() is None
    second.write_text("three")
    assert pair.look() == ("1", "three")
    first.unlink()
    assert pair.look() is None
    first.write_text("1")
    assert pair.look() == ("1", "three")
