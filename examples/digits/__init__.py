"""Handwritten digits: train a small network on scikit-learn's data, then serve it.

train   `python -m examples.digits.train` trains, prints the held-out accuracy, writes the model file
model   the two kinds of model (torch, scikit-learn) behind one question: which digits are these?
        `python -m examples.digits` serves it as POST /v1/models/digits:predict
"""
