"""What does a sentence want? A bag of word embeddings in torch, trained on hand-written sentences.

sentences  the labelled sentences
network    the torch module: text in, intent and probability out
handler    the same behind TorchServe's handler interface, for a .mar archive
train      `python -m examples.intent.train` writes both model folders
"""
