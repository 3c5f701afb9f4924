"""The protocols of the server, bytes to messages and back, all of it pure.

v2_rest.py (Open Inference V2 with the binary tensor extension), v1_rest.py (TensorFlow Serving's and KServe's V1),
grpc_types.py and grpc_codec.py (V2 over gRPC), generate.py (text in, text out, one event per reply), openapi.py (a
document per model), seldon.py (SeldonMessage).
"""
