"""A model that answers its inputs: what the frame itself costs, and a first thing to talk to."""
