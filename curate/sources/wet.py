"""WET archives: the text CommonCrawl took out of its pages. Text is in `text`; see `curate.sources.warc` for the rest."""

from curate.sources.warc import read

__all__ = ["read"]
