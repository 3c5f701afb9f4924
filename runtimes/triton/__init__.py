"""Serves models by NVIDIA's Triton server: prepares its repository, runs it, and stands in front of its two ports.

__main__.py builds and runs; layout.py and model_config.py prepare the model repository; locate.py finds `tritonserver`,
install.py fetches it; process.py runs it; repository_api.py asks it; residency.py loads on demand; pipeline.py directs
requests; grpc_names.py reads a model's name from the first bytes of a call; metrics.py shows both processes' numbers.
"""
