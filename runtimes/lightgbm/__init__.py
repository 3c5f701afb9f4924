"""Serves LightGBM models: .txt files."""
