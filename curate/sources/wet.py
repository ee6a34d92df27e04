"""WET archives: WARC archives of the text CommonCrawl took out of its pages. See `curate.sources.warc`."""

from curate.sources.warc import read

__all__ = ["read"]
