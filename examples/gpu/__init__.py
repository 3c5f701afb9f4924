"""Manifests of services with GPUs: whole ones, slices (MIG), shared ones (time slicing); docs/gpus.md explains them."""
