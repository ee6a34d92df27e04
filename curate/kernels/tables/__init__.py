"""Tables of Unicode, made by programs in `tools/`: not for reading."""
