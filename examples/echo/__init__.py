"""Every shape of HTTP/1.1 answer in one small app, from the standard library alone."""
