"""Serves PyTorch models: TorchScript, torch.export programs, weights (safetensors or state_dict) with their class.

`python -m runtimes.torch --model-dir DIR`. opener.py reads files, model.py runs what they hold.
"""
