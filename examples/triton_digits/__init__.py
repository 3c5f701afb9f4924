"""The digits network within Triton's Python backend; `python -m examples.triton_digits FOLDER` makes its repository."""
