"""Source formats: a new file here is a new format; start from plain_text.py or html_page.py.

All that curate knows of a format is the `FORMAT` of its module.
"""
