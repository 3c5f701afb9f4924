"""BERT's uncased WordPiece: text to the numbers of a vocabulary.

The rules are those of the BERT paper's reference tokenizer: control characters dropped, Chinese characters apart, lower
case without accents, punctuation apart, then the longest known piece first. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

START, END, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
WORD_LIMIT = 100
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def numbers(text: str, vocabulary: Mapping[str, int], limit: int) -> list[int]:
    """Return the numbers of a text between start and end, cut to `limit` in all."""
    found = [vocabulary[piece] for word in words(text) for piece in pieces(word, vocabulary)]
    return [vocabulary[START], *found[: limit - 2], vocabulary[END]]


def words(text: str) -> Iterator[str]:
    """Yield the words and punctuation marks of a text, in lower case and without accents."""
    word = ""
    for char in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(char)
        if category == "Mn" or char in "\0\ufffd" or (category[0] == "C" and char not in "\t\n\r"):
            continue
        if char.isspace():
            if word:
                yield word
            word = ""
        elif _is_apart(char, category):
            if word:
                yield word
            yield char
            word = ""
        else:
            word += char
    if word:
        yield word


def pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """Return the known pieces of a word, the longest first; `[UNK]` when it cannot be put together from them."""
    if len(word) > WORD_LIMIT:
        return [UNKNOWN]
    found: list[str] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        piece = next((p for end in range(len(word), start, -1) if (p := prefix + word[start:end]) in vocabulary), "")
        if not piece:
            return [UNKNOWN]
        found.append(piece)
        start += len(piece) - len(prefix)
    return found


def _is_apart(char: str, category: str) -> bool:
    code = ord(char)
    is_ascii_sign = 33 <= code <= 126 and not char.isalnum()
    return is_ascii_sign or category[0] == "P" or any(low <= code <= high for low, high in _CJK)
