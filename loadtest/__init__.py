"""The whole system under load: the demo's story, wakes measured, and (later) peers side by side and traces replayed.

figures    bars, machine and commit as one JSON object
load       a small bounded load generator for machines without hey
instance   a local instance of its own in a temporary state folder
wake       how long a wake takes, and what an idle service costs
story      the steps of the demo
"""
