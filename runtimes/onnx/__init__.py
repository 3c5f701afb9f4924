"""Serves ONNX models by onnxruntime; what they take and give is read from the file."""
