"""Inspecting a run: what it would do, what happened to a document, whether the machine is suitable."""
