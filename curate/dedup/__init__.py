"""Group stages, one file each as in `stages/`: documents that share a key are compared. `_*.py` are helpers."""
