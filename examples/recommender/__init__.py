"""How much will this user like that product? Two inputs, one score, as TensorFlow Serving's samples have it.

model  a class with `predict` for the Python runtime; factors of users and products, multiplied
train  `python -m examples.recommender.train` makes up ratings, learns the factors, writes the model folder
"""
