"""Sequences of tokens, and the files that trainers read."""
