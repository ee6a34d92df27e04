"""Map stages, one file each: function NAME in NAME.py is the stage NAME, nothing registers it. `_*.py` are helpers."""
