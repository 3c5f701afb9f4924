"""The digits network as Triton's Python backend runs it: 64 pixels (0 to 16) in, ten scores and a digit out.

The folder stands for itself: nothing of Tidegate is imported, so it runs in any Triton whose Python has torch.
"""

import torch
import triton_python_backend_utils as pb_utils
from torch import nn

BRIGHTEST = 16.0


def network():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(32 * 16, 10),
    )


class TritonPythonModel:
    def initialize(self, args):
        torch.set_num_threads(1)  # one image is too little work to share among threads
        self.device = "cuda" if args["model_instance_kind"] == "GPU" else "cpu"
        weights = f"{args['model_repository']}/{args['model_version']}/weights.pt"
        self.network = network()
        self.network.load_state_dict(torch.load(weights, weights_only=True, mmap=True))
        self.network.eval().to(self.device)

    def execute(self, requests):
        images = [self.tensor(each) for each in requests]
        with torch.inference_mode():
            scores = self.network(torch.cat(images) / BRIGHTEST).softmax(dim=1).cpu()
        # Requests that came together share one call of the network; each gets its own rows back.
        return [self.answer(rows) for rows in scores.split([len(each) for each in images])]

    def tensor(self, request):
        return torch.from_dlpack(pb_utils.get_input_tensor_by_name(request, "pixels").to_dlpack()).to(self.device)

    def answer(self, scores):
        named = {"scores": scores.contiguous(), "digit": scores.argmax(dim=1, keepdim=True)}
        return pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack(name, each) for name, each in named.items()])
