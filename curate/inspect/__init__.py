"""Verbs that look at data, a run, a release or the machine; `run` and `train` as notebooks call them."""
