"""Model classes written for other systems, made fit for this server's contract.

seldon.py: classes with `predict(X, names, meta)`; torchserve.py: handlers with initialize, preprocess, inference,
postprocess, handle; archive.py: TorchServe's `.mar` files, unpacked with every path checked.
"""
