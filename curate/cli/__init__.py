"""The command line: one function a verb, and what it prints."""
