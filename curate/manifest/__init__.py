"""Manifests: YAML in; out comes a checked Manifest, or all of its mistakes at once."""
