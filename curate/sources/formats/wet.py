"""WET archives: WARC archives of the text that CommonCrawl extracted from its pages. See
`curate.sources.formats.warc`.
"""

from dataclasses import replace

from curate.sources.formats.warc import FORMAT as WARC

FORMAT = replace(WARC, name="wet", title="WET", endings=(".warc.wet", ".wet"), payload=False, text_share=2.5)
