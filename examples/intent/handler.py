"""The intents behind TorchServe's handler interface: this file goes into the .mar archive, as network.py does.

It uses nothing of Tidegate and nothing of TorchServe's base class, so that either can run it.
"""

from pathlib import Path

import network  # the archive's own copy
import torch


class IntentHandler:
    """A request is a text under `body` or `data`; its answer an object with intent and probability."""

    def initialize(self, context):
        """Read the weights that lie beside this file."""
        folder = Path(context.system_properties["model_dir"])
        torch.set_num_threads(1)
        self.module = network.Intent()
        weights = folder / context.manifest["model"]["serializedFile"]
        self.module.load_state_dict(torch.load(weights, weights_only=True))
        self.module.eval()

    def preprocess(self, data):
        """Return the numbers of the words of each request."""
        texts = [row.get("body", row.get("data", "")) for row in data]
        texts = [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in texts]
        return {name: torch.from_numpy(array) for name, array in network.numbered(texts).items()}

    def inference(self, inputs):
        """Return the probabilities."""
        with torch.inference_mode():
            return self.module(**inputs).softmax(dim=1)

    def postprocess(self, scores):
        """Return one object per request."""
        best, which = scores.max(dim=1)
        found = zip(which.tolist(), best.tolist(), strict=True)
        return [{"intent": network.INTENTS[index], "probability": probability} for index, probability in found]
