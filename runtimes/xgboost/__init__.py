"""Serves XGBoost models: .ubj, .json and .bst files."""
