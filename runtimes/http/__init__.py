"""The HTTP/1.1 listener of the model server.

connection.py is one client's connection (httptools); messages.py its requests and replies; server.py the listening
socket, the sweep of slow clients and the drain; compression.py bodies in gzip and deflate; routes.py says which handler
a method and path mean; open_inference.py, v1.py, repository.py and compatible.py are the handlers.
"""
