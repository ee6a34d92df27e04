"""Group stages, one file each as in `stages/`: documents that share a key meet. `_*.py` are helpers."""
