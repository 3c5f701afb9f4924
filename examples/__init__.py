"""Services to try Tidegate with: plain HTTP apps that know nothing of it.

hello      answers with a greeting; starts as fast as Python does
autoscale  sleeps, computes or allocates by query parameters
digits     a small neural network that reads handwritten digits
websocket  an echo
httpd      the few lines of HTTP/1.1 server that they share (standard library only)
"""
