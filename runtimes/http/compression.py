"""Bodies in gzip and deflate, both ways, with a bound on what they may grow to (pure).

`deflate` is the zlib format, as tritonclient and RFC 9110 have it. Nothing is compressed that was not asked for: the
length header of binary tensors counts uncompressed bytes.
"""

from __future__ import annotations

import zlib

from runtimes.failures import InferenceError, Kind, bad_input

_GZIP_WINDOW = 31
_ZLIB_WINDOW = 15
_WINDOWS = {b"gzip": _GZIP_WINDOW, b"x-gzip": _GZIP_WINDOW, b"deflate": _ZLIB_WINDOW}
OFFERED = "gzip, deflate"


def decompress(body: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    """Return the body; raises 501 for another encoding, 413 beyond `limit_bytes`, 400 for a broken one."""
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    window = _WINDOWS.get(name)
    if window is None:
        text = f"Content-Encoding {name.decode('latin-1')!r} is not known; use {OFFERED}"
        raise InferenceError(Kind.UNSUPPORTED, text)
    stream = zlib.decompressobj(window)
    try:
        plain = stream.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise bad_input(f"the body is not {name.decode()}: {error}") from error
    if len(plain) > limit_bytes:
        raise InferenceError(Kind.TOO_LARGE, f"the body grows to more than {limit_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise bad_input(f"the body is not one whole {name.decode()} stream")
    return plain


def choose(accepted: bytes) -> str:
    """Return gzip, deflate or nothing for an Accept-Encoding header: the client's favourite that is offered."""
    best, quality = "", 0.0
    for item in accepted.lower().split(b","):
        name, _, rest = item.strip().partition(b";")
        if name.strip() not in (b"gzip", b"deflate"):
            continue
        try:
            weight = float(rest.strip().removeprefix(b"q=") or 1)
        except ValueError:
            continue
        if weight > quality:
            best, quality = name.strip().decode(), weight
    return best


def compress(body: bytes, encoding: str) -> bytes:
    """Return the body in `gzip` or `deflate`, quickly rather than tightly."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW if encoding == "gzip" else _ZLIB_WINDOW)
    return stream.compress(body) + stream.flush()
