"""The command line: one function per command, and its output."""
