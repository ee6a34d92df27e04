"""The source formats, one file each: everything curate knows about a format is the `FORMAT` of its module."""
