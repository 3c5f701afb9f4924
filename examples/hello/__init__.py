"""The smallest service: a greeting, from the standard library alone."""
