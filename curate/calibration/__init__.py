"""Calibration sets: draw small samples of a release for quantization and kernel tuning, and compare them."""
