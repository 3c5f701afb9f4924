"""Serve the digits model: `python -m examples.digits`; trains one first when there is no model file.

POST /v1/models/digits:predict {"instances": [[64 pixels], ...]} answers {"predictions": [digit, ...]}.
GET /v1/models/digits, its readiness probe, tells beside that what its start consisted of (docs/operating.md).
"""

from __future__ import annotations

import json
import sys
import time

from examples import httpd
from examples.digits import model


def open_model() -> model.Model:
    """Return the model of the default file."""
    path = model.default_path()
    if not path.exists():
        print(f"no model at {path}: training one", file=sys.stderr, flush=True)
        trained, _ = model.train(path.suffix)
        trained.save(path)
    return model.load(path)


class Start:
    """What the start consisted of, by this process' own clock."""

    def __init__(self) -> None:
        self._at = [time.monotonic()]

    def done(self) -> None:
        """A part of it has ended: the imports, then the weights."""
        self._at.append(time.monotonic())

    def told(self) -> str:
        """Return the value of the header X-Tidegate-Start, in milliseconds."""
        began, imported, loaded = self._at
        open_ms, imports_ms, weights_ms = (
            1e3 * span for span in (time.monotonic() - loaded, imported - began, loaded - imported)
        )
        return f"open={open_ms:.3f} imports={imports_ms:.3f} weights={weights_ms:.3f} warm-up=0"


def make_handler(digits: model.Model, start: Start | None = None) -> object:
    """Return the function that answers requests with this model."""

    def answer(request: httpd.Request) -> httpd.Reply:
        if request.path == "/v1/models/digits" and request.method == "GET":
            told = (("x-tidegate-start", start.told()),) if start is not None else ()
            return _json(200, {"name": "digits", "ready": True, "kind": digits.kind})._replace(headers=told)
        if request.path != "/v1/models/digits:predict":
            return _json(404, {"error": "POST /v1/models/digits:predict"})
        if request.method != "POST":
            return _json(405, {"error": "use POST"})
        try:
            images = read_images(request.body)
        except ValueError as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"predictions": digits.predict(images)})

    return answer


def read_images(body: bytes) -> model.Images:
    """Return the images of a predict request; raises ValueError that says what is wrong."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    images = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(images, list) or not images:
        raise ValueError('instances: write a list of images, {"instances": [[64 numbers]]}')
    for position, image in enumerate(images):
        is_image = isinstance(image, list) and len(image) == model.PIXELS
        if not is_image or not all(isinstance(pixel, int | float) for pixel in image):
            raise ValueError(f"instances[{position}]: write {model.PIXELS} numbers from 0 to 16")
    return images


def _json(status: int, document: object) -> httpd.Reply:
    return httpd.Reply(status, json.dumps(document).encode(), "application/json")


if __name__ == "__main__":
    started = Start()
    model.import_library(model.default_path())
    started.done()
    opened = open_model()
    started.done()
    httpd.Server(make_handler(opened, started)).run()
