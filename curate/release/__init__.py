"""Releases: build, lock, pages, versions, removals. The text of pages is in the `.jinja` templates."""
