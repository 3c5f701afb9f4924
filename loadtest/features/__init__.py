"""Every feature that the source texts of model serving describe, and what of it Tidegate has.

The `*.yaml` files are the data, one for each of the texts' subjects. rows.py reads and checks them, page.py makes
docs/features.md of them, showing.py runs the tests that they name, command.py is `python -m loadtest features`.
"""
