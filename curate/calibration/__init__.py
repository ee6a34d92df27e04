"""Calibration sets: small samples of a release for quantization and kernel tuning, and how far two of them differ."""
