"""Shared low-level code that knows nothing about documents: names, URLs, limits, the machine, the terminal."""
