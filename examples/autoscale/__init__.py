"""A service whose requests cost what the caller asks for: time, CPU or memory."""
