"""A generator that streams: it continues a text word by word in the tone of a licence, from counts.

model  a class with `generate` for the Python runtime
train  `python -m examples.writer.train` counts the words of a text (this repository's LICENSE), writes the model folder
"""
