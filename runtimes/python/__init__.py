"""Serves a plain Python class: `python -m runtimes.python mymodel:MyModel`."""
