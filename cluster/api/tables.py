"""Objects as the tables that `kubectl get` prints (meta.k8s.io/v1 Table). Pure.

Columns come from a CustomResourceDefinition (`additionalPrinterColumns`), from `table_columns` for built-in kinds, or
are name and age. Cells of the whole list are made from objects as stored; nothing is looked up.
"""

from __future__ import annotations

import json
from typing import Any

from cluster.api.ages import human_age, since, unix
from cluster.api.jsonpath import jsonpath
from cluster.api.table_columns import LAYOUTS, PLAIN, name
from tidegate.kube.api import Object

__all__ = ["human_age", "jsonpath", "table"]

_NAME_COLUMN = {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}


def table(
    plural: str,
    group: str,
    objects: list[Object],
    now_unix: float,
    columns: list[Object] | None,
    include: str = "Metadata",
) -> Object:
    """Return the Table of `objects`; list metadata is the caller's.

    `columns` are a CRD's additionalPrinterColumns (None or empty: built-in columns, else name and age); `include` is
    the `includeObject` parameter: None, Metadata or Object.
    """
    if columns:
        definitions = [_NAME_COLUMN, *(_definition(column) for column in columns)]
        rows = [[name(obj), *(_cell(obj, column, now_unix) for column in columns)] for obj in objects]
    else:
        layout = LAYOUTS.get((group, plural), PLAIN)
        definitions = [_built_in(title) for title in layout.titles.split("|")]
        rows = [layout.cells(obj, now_unix) for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": definitions,
        "rows": [_row(cells, obj, include) for cells, obj in zip(rows, objects, strict=True)],
    }


def _row(cells: list[Any], obj: Object, include: str) -> Object:
    if include == "None":
        return {"cells": cells, "object": None}
    if include == "Object":
        return {"cells": cells, "object": obj}
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
    return {"cells": cells, "object": partial}


def _built_in(title: str) -> Object:
    text = title.rstrip("*#")
    return {
        "name": text,
        "type": "integer" if "#" in title else "string",
        "format": "name" if text == "Name" else "",
        "description": "",
        "priority": 1 if "*" in title else 0,
    }


def _definition(column: Object) -> Object:
    return {
        "name": column.get("name", ""),
        "type": column.get("type", "string"),
        "format": column.get("format", ""),
        "description": column.get("description", ""),
        "priority": column.get("priority", 0),
    }


def _cell(obj: Object, column: Object, now_unix: float) -> Any:
    values = jsonpath(obj, column.get("jsonPath", ""))
    if not values:
        return None
    match column.get("type", "string"):
        case "string":
            return " ".join(_text(value) for value in values)
        case "date":
            known = isinstance(values[0], str) and unix(values[0]) is not None
            return since(values[0], now_unix) if known else "<invalid>"
        case "boolean":
            return values[0] if isinstance(values[0], bool) else None
        case "integer":
            return int(values[0]) if _is_number(values[0]) else None
        case "number":
            return values[0] if _is_number(values[0]) else None
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
