"""Strategic merge patch: a merge patch that knows by which key the lists of built-in kinds merge.

Pure. Inputs are never changed and results share nothing with them. The directives are those that `kubectl apply` and
`kubectl edit` write: `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/<list>` and `$setElementOrder/<list>`.
"""

from __future__ import annotations

from typing import Any

from cluster.api import list_keys
from cluster.api.json_values import copied
from cluster.api.list_keys import ListRule
from cluster.api.patch_error import PatchError
from tidegate.kube.api import Object

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def strategic_merge(obj: Object, patch: Object, kind: str) -> Object:
    """Return `obj`, of built-in kind `kind`, with `patch` merged in; raises PatchError."""
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch must be a JSON object")
    return _merge_map(obj, patch, kind, "")


def _merge_map(source: Object, patch: Object, kind: str, owner: str) -> Object:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return _plain_map(patch)
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(f"unknown {_PATCH} directive {directive!r}")
    result = {key: copied(value) for key, value in source.items() if key not in patch}
    for key, value in patch.items():
        if not key.startswith("$") and value is not None:
            result[key] = _merge_value(source.get(key), value, patch, kind, owner, key)
    _apply_list_directives(result, patch, kind, owner)
    if _RETAIN in patch:
        retained = set(_strings(patch[_RETAIN], _RETAIN))
        missing = [key for key in patch if not key.startswith("$") and patch[key] is not None and key not in retained]
        if missing:
            raise PatchError(f"{_RETAIN} does not list {missing[0]!r}, which the patch sets")
        result = {key: value for key, value in result.items() if key in retained}
    return {key: result[key] for key in (*(key for key in source if key in result), *result)}


def _merge_value(current: Any, value: Any, patch: Object, kind: str, owner: str, key: str) -> Any:
    if isinstance(value, dict):
        return _merge_map(current if isinstance(current, dict) else {}, value, kind, key)
    if isinstance(value, list):
        return _merge_list(current, value, list_keys.list_rule(kind, owner, key), kind, key)
    return value


def _merge_list(current: Any, patch: list[Any], rule: ListRule, kind: str, field: str) -> list[Any]:
    source = current if isinstance(current, list) else []
    if rule.is_set:
        return list(dict.fromkeys([*source, *patch]))
    if not rule.patch_key:
        return [_plain(item) for item in patch if not _is_directive(item)]
    return _merge_items(source, patch, rule.patch_key, kind, field)


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and item.keys() == {_PATCH}


def _merge_items(source: list[Any], patch: list[Any], key: str, kind: str, field: str) -> list[Any]:
    if any(_is_directive(item) and item[_PATCH] == "replace" for item in patch):
        return [_plain(item) for item in patch if not _is_directive(item)]
    result: list[Any] = copied(source)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise PatchError(f"map: {item!r} does not contain declared merge key: {key}")
        at = next((index for index, old in enumerate(result) if _key_of(old, key) == item[key]), None)
        directive = item.get(_PATCH)
        if directive == "delete":
            result = [old for old in result if _key_of(old, key) != item[key]]
        elif at is None:
            result.append(_plain_map(item))
        else:
            result[at] = _merge_map(result[at], item, kind, field)
    return result


def _key_of(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, dict) else None


def _plain(value: Any) -> Any:
    """Copy a patch value that meets nothing to merge with: directives and nulls fall away."""
    if isinstance(value, dict):
        return _plain_map(value)
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and item.get(_PATCH) == "delete")]
    return value


def _plain_map(value: Object) -> Object:
    return {key: _plain(item) for key, item in value.items() if not key.startswith("$") and item is not None}


def _apply_list_directives(result: Object, patch: Object, kind: str, owner: str) -> None:
    for directive, value in patch.items():
        if directive.startswith(_DELETE):
            field = directive[len(_DELETE) :]
            gone = value if isinstance(value, list) else []
            if isinstance(result.get(field), list):
                result[field] = [item for item in result[field] if item not in gone]
    for directive, value in patch.items():
        if directive.startswith(_ORDER):
            field = directive[len(_ORDER) :]
            if isinstance(result.get(field), list) and isinstance(value, list):
                key = list_keys.list_rule(kind, owner, field).patch_key
                result[field] = _ordered(result[field], value, key)


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Put items in the wanted order; those not named keep their place behind the neighbour they followed."""
    wanted = [_key_of(item, key) if isinstance(item, dict) else item for item in order]
    rank = {value: index for index, value in enumerate(wanted)}

    def name(item: Any) -> Any:
        return _key_of(item, key) if isinstance(item, dict) else item

    named = sorted((item for item in items if name(item) in rank), key=lambda item: rank[name(item)])
    result = list(named)
    for index, item in enumerate(items):
        if name(item) not in rank:
            before = items[index - 1] if index else None
            at = next((place for place, other in enumerate(result) if other is before), -1)
            result.insert(at + 1, item)
    return result


def _strings(value: Any, directive: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PatchError(f"{directive} must be a list of strings")
    return value
