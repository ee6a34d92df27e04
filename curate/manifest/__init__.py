"""Manifests: YAML in, a checked Manifest or all of its mistakes out."""
