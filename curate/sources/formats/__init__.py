"""The source formats, one file each: all that curate knows of a format is the `FORMAT` of its module."""
