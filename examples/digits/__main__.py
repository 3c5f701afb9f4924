"""Serve the digits model: `python -m examples.digits`; trains one first when there is no model file.

POST /v1/models/digits:predict {"instances": [[64 pixels], ...]} answers {"predictions": [digit, ...]}.
"""

from __future__ import annotations

import json
import sys

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


def make_handler(digits: model.Model) -> object:
    """Return the function that answers requests with this model."""

    def answer(request: httpd.Request) -> httpd.Reply:
        if request.path == "/v1/models/digits" and request.method == "GET":
            return _json(200, {"name": "digits", "ready": True, "kind": digits.kind})
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
    httpd.Server(make_handler(open_model())).run()
