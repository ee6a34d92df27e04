"""C4's rules: keep lines of prose, reject pages that have none."""

import pyarrow as pa
import pyarrow.compute as pc

from curate.base.parameters import Count
from curate.documents import flat, utf8
from curate.kernels.c4_lines import CURLY_BRACKET, FEW_SENTENCES, KEPT, LOREM_IPSUM, Rules, clean
from curate.kernels.characters import character_classes
from curate.kernels.lines import CURLY, JAVASCRIPT, LOREM, POLICY
from curate.kernels.marks import word_and_mark_spans
from curate.stage_api import reject, set_column, stage
from curate.stages._text import texts


@stage(version=2)
def c4(
    docs: pa.Table,
    *,
    terminal_punctuation: bool = True,
    min_words: Count = 3,
    max_word_length: Count = 1000,
    javascript: bool = True,
    policy: bool = True,
    lorem_ipsum: bool = True,
    curly_bracket: bool = True,
    min_sentences: Count = 5,
) -> pa.Table:
    """Keep the lines of prose, and the documents that have enough, by C4's rules (arXiv:1910.10683, 2.2).

    The rules are applied as in datatrove: line by line, in the order of the parameters below; a document is
    rejected at the first line that breaks a rule for documents. White space around lines and Wikipedia's citations
    (`[1]`, `[edit]`, `[citation needed]`) are removed as well. A rejected document keeps its text. The list of bad
    words is not applied.

    max_word_length       drop lines with a longer word, in characters
    terminal_punctuation  drop lines that do not end in `.`, `?`, `!` or a quotation mark, or that end in `...`
    min_words             drop lines with fewer words
    lorem_ipsum           reject documents that contain "lorem ipsum"
    javascript            drop lines that contain "javascript"
    curly_bracket         reject documents that contain `{`
    policy                drop lines about cookies, privacy and terms of use
    min_sentences         reject documents with fewer sentences in the remaining lines

    Reads: text
    Adds: c4_removed_lines (int32, lines)
    Changes: text
    Reasons: lorem_ipsum, curly_bracket, too_few_sentences
    """
    text = flat(docs["text"])
    data, offsets = utf8(text)
    classes = character_classes()
    spans = word_and_mark_spans(data, offsets, classes)
    flags = LOREM * lorem_ipsum | JAVASCRIPT * javascript | CURLY * curly_bracket | POLICY * policy
    rules = Rules(terminal_punctuation, min_words, max_word_length, flags, min_sentences)
    cleaned, cleaned_offsets, verdicts, removed = clean(data, offsets, spans, classes, rules)
    left = texts(cleaned, cleaned_offsets, text)
    docs = set_column(docs, "text", pc.if_else(pa.array(verdicts == KEPT), left, text))
    return reject(
        set_column(docs, "c4_removed_lines", pa.array(removed)),
        lorem_ipsum=verdicts == LOREM_IPSUM,
        curly_bracket=verdicts == CURLY_BRACKET,
        too_few_sentences=verdicts == FEW_SENTENCES,
    )
