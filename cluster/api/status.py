"""(pure) Refusals as the Kubernetes API words them: `ApiError` values and the `Status` object they travel in.

Message texts follow the API conventions so that clients which match on them keep working. Nothing here decides; callers
pick the refusal, this module phrases it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tidegate.kube.api import ApiError, Object

CONTINUE = "continue"
"""Detail of a refused list: the token for the rest, which travels in the Status's metadata."""


class Named(NamedTuple):
    """The words for one kind in a message: its API group, plural and kind name."""

    group: str
    plural: str
    kind: str

    @property
    def qualified(self) -> str:
        """`plural.group`, or the plural alone for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def details(self, name: str) -> Object:
        """The `details` of a Status about an object of this kind."""
        return _tidy({"name": name, "group": self.group, "kind": self.plural})


def not_found(named: Named, name: str) -> ApiError:
    """No object of that name."""
    return ApiError(404, "NotFound", f'{named.qualified} "{name}" not found', named.details(name))


def no_such_path() -> ApiError:
    """No resource of that group, version and plural, as an API server answers for unknown paths."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(named: Named, name: str) -> ApiError:
    """A create met an object of the same name."""
    return ApiError(409, "AlreadyExists", f'{named.qualified} "{name}" already exists', named.details(name))


def conflict(named: Named, name: str, why: str = "") -> ApiError:
    """The write was based on an old version, or a precondition failed."""
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {named.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, named.details(name))


def invalid(named: Named, name: str, causes: Iterable[tuple[str, str, str]]) -> ApiError:
    """The object breaks rules; each cause is (field path, message, reason)."""
    listed = [{"reason": reason, "message": message, "field": path} for path, message, reason in causes]
    texts = [f"{cause['field']}: {cause['message']}" if cause["field"] else cause["message"] for cause in listed]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _tidy({"name": name, "group": named.group, "kind": named.kind}) | {"causes": listed}
    return ApiError(
        422, "Invalid", f'{named.kind}{f".{named.group}" if named.group else ""} "{name}" is invalid: {text}', details
    )


def bad_request(message: str) -> ApiError:
    """The request itself makes no sense."""
    return ApiError(400, "BadRequest", message)


def forbidden(named: Named, name: str, why: str) -> ApiError:
    """Admission or authorization refused."""
    subject = f'{named.qualified} "{name}"' if name else named.qualified
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", named.details(name))


def unauthorized() -> ApiError:
    """No or unknown credentials."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(named: Named, verb: str) -> ApiError:
    """The kind does not offer that verb."""
    details = _tidy({"group": named.group, "kind": named.plural})
    return ApiError(
        405, "MethodNotAllowed", f'{verb} is not supported on resources of kind "{named.qualified}"', details
    )


def expired(message: str) -> ApiError:
    """A watch asked for history that is gone; the client must list again."""
    return ApiError(410, "Expired", message)


def too_large_version(asked: int, present: int) -> ApiError:
    """A read asked for a version that this server has not reached."""
    text = f"Too large resource version: {asked}, current: {present}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(504, "Timeout", f"Timeout: {text}", {"retryAfterSeconds": 1, "causes": [cause]})


def unsupported_media_type(given: str, accepted: Iterable[str]) -> ApiError:
    """The body's Content-Type is not one the endpoint reads."""
    listed = ", ".join(accepted)
    message = f"the body of the request was in an unknown format ({given}) - accepted media types include: {listed}"
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable(offered: Iterable[str]) -> ApiError:
    """No representation the client accepts can be made."""
    message = f"only the following media types are accepted: {', '.join(offered)}"
    return ApiError(406, "NotAcceptable", message)


def internal(message: str) -> ApiError:
    """A fault of the server or of something it depends on."""
    causes = [{"message": message}]
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": causes})


def unavailable(message: str) -> ApiError:
    """Something the request needs cannot be reached now."""
    return ApiError(503, "ServiceUnavailable", message)


def failure(error: ApiError) -> Object:
    """Return the `Status` object of a refusal."""
    status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    status |= {"message": error.message, "reason": error.reason, "code": error.status}
    details = dict(error.details or {})
    if token := details.pop(CONTINUE, ""):
        status["metadata"] = {"continue": token}
    if details:
        status["details"] = details
    return status


def success(named: Named, name: str, uid: str = "") -> Object:
    """Return the `Status` object of a finished deletion."""
    details = named.details(name) | ({"uid": uid} if uid else {})
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _tidy(details: Object) -> Object:
    return {field: value for field, value in details.items() if value}
