"""A WebSocket echo from the standard library alone."""
