"""Calibration sets: small samples of a release for quantization and kernel tuning, and comparisons of two sets."""
