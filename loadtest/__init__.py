"""The whole system under load: the demo's story, wakes measured, traces simulated.

figures    bars, machine and commit as one JSON object
load       a small bounded load generator for machines without hey
instance   a local instance of its own in a temporary state folder
wake       how long a wake takes, and what an idle service costs
story      the steps of the demo
simulate   production decisions on traces under a virtual clock
traces     request traces of several formats
"""
