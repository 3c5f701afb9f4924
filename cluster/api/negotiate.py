"""(pure) Which representation a client wants, by its Accept header; JSON is the only encoding."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.api import status

JSON = "application/json"
WILDCARDS = ("*/*", "application/*", "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One acceptable media type with its parameters (`as`, `g`, `v`)."""

    media_type: str = JSON
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """The `as` parameter: Table, PartialObjectMetadata... or empty for the object itself."""
        return self.parameters.get("as", "")


def accepted(header: str, forms: tuple[str, ...]) -> Wanted:
    """Return the first entry of the header that can be served; raises `ApiError` NotAcceptable.

    `forms` are the `as` values the endpoint can make besides the plain object.
    """
    entries = [_parse(part) for part in header.split(",")] if header.strip() else [Wanted()]
    for wanted in entries:
        if wanted.media_type != JSON and wanted.media_type not in WILDCARDS:
            continue
        if not wanted.form or wanted.form in forms:
            return wanted
    raise status.not_acceptable([JSON])


def _parse(part: str) -> Wanted:
    media_type, *pairs = (piece.strip() for piece in part.split(";"))
    parameters = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return Wanted(media_type.lower(), parameters)
