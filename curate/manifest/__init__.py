"""Manifests: YAML in, a checked Manifest out, or all of its mistakes at once."""
