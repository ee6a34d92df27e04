"""WET archives: the text that CommonCrawl extracted from its pages.

They are WARC archives, see `curate.sources.formats.warc`.
"""

from dataclasses import replace

from curate.sources.formats.warc import FORMAT as WARC

FORMAT = replace(WARC, name="wet", title="WET", endings=(".warc.wet", ".wet"), payload=False, text_share=2.5)
