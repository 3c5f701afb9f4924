"""Model servers: one frame that speaks the open inference protocols, and one folder per framework below it.

protocol/ turns bytes into tensors and back (V1 and V2 over REST, V2 over gRPC); pipeline.py lists the steps of one
inference; batching.py groups requests by what batch_plan.py decides; repository/ finds, loads, labels and evicts
models; http/ and grpc_server.py are the two listeners; contract.py says what a model class is, adapters/ makes other
systems' classes fit it. `python -m runtimes.RUNTIME` starts a server: echo, python, torch, sklearn, onnx, xgboost,
lightgbm. triton/ runs NVIDIA's server instead of the frame.
"""
