"""Stands before a model server of others in its pod: logs payloads and lets requests share batches.

config.py: settings; proxy.py passes requests on; batches.py joins V1 predictions; agent.py puts these and the payload
log together; __main__.py is the process (`python -m runtimes.agent`).
"""
