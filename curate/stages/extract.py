"""Text out of web pages."""

from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import CSSParserException, HTMLParserException, HTMLTree

from curate.base.parameters import Positive
from curate.errors import CurateError
from curate.stage_api import reject, set_column, stage
from curate.stages._charset import read
from curate.stages._error_pages import is_error_page
from curate.stages._html_cost import refusal, too_deep
from curate.stages._page_source import Source, look
from curate.stages._payload_kind import HTML, TEXT, kind_of
from curate.stages._visible_text import mark_skipped, prepare, selector_of

TextOf = Callable[[str, Source], tuple[str | None, str]]
"""Of a page, as decoded, and a look at its source: its title and its text."""


class _TooDeepError(Exception):
    """A page's elements nest too deep."""


def _packages(extractor: str, **_) -> tuple[str, ...]:
    return ("resiliparse", "trafilatura") if extractor == "trafilatura" else ("resiliparse",)


@stage(version=4, packages=_packages, hazard=True, dry=True)
def extract(
    docs: pa.Table,
    *,
    extractor: Literal["resiliparse", "trafilatura"] = "resiliparse",
    main_content: bool = True,
    repair: bool = True,
    links: bool = False,
    comments: bool = True,
    preserve_formatting: bool = True,
    list_bullets: bool = True,
    alt_texts: bool = True,
    form_fields: bool = False,
    noscript: bool = False,
    skip_elements: tuple[str, ...] = (),
    favor_precision: bool = False,
    deduplicate: bool = False,
    max_bytes: Positive = 10_000_000,
    keep_error_pages: bool = False,
) -> pa.Table:
    """Extract the text of archived web pages.

    By default the main content as Resiliparse finds it, without menus, sidebars and footers, one block a
    line. Text that already exists, as in a WET file, stays as it is, and so does a `text/plain` payload
    once it is decoded.

    No visible character is lost: for every block that is kept, the characters of its DOM text are in the text, in
    order. A block is the text between two borders of block-level elements (`p`, `div`, `li`, `td`, `br` ...); it
    is kept if any letter or digit of it is. Visible is all but white space, what the page hides, icons that are
    a lone character of its own font, signs that link to their own heading, and controls of forms.
    `10<sup>6</sup>` is `10^6`, `H<sub>2</sub>O` is `H_2O`, a linked footnote `[1]`. A formula is its TeX where the
    page has it, else one line of text.

    extractor            `resiliparse` (Bevendorff et al., ECIR 2018) or `trafilatura` (Barbaresi, ACL 2021),
                         which is many times slower
    main_content         false: the whole page
    repair               false: the very bytes of Resiliparse, which loses words within sentences, lists near `body`
                         and formulas (docs/decisions/0013), as corpora made with it have; `trafilatura` has no repair
    links, comments      keep the targets of links; keep readers' comments
    preserve_formatting  keep line breaks, indents and lists; this and the next five are options of Resiliparse, and
                         the other extractor has no such choice
    list_bullets         put bullets and numbers before the items of lists
    alt_texts            keep the texts that stand for pictures
    form_fields          keep what stands in fields of forms
    noscript             keep what is for browsers without scripts
    skip_elements        CSS selectors of what goes
    favor_precision, deduplicate
                         options of Trafilatura: less text, but surer; a page's own repeats left out
    max_bytes            largest payload, in bytes
    keep_error_pages     keep pages that answer 200 and say "page not found"

    Reads: payload, http_status, content_type, identified_type, charset, text
    Changes: text
    Reasons: http_status, too_large, pdf, image, audio_video, script, not_html, undecodable, too_deep,
        too_complex, parser_failure, empty, error_page
    """
    if extractor == "trafilatura":
        text_of = _trafilatura(main_content, deduplicate, links, comments, favor_precision)
    else:
        text_of = _resiliparse(
            repair,
            skip_elements,
            main_content=main_content,
            links=links,
            comments=comments,
            preserve_formatting=preserve_formatting,
            list_bullets=list_bullets,
            alt_texts=alt_texts,
            form_fields=form_fields,
            noscript=noscript,
        )
    if "payload" not in docs.column_names:
        return reject(docs, empty=_is_empty(docs["text"]))
    payloads = docs["payload"].combine_chunks()
    types, charsets = docs["content_type"].to_pylist(), docs["charset"].to_pylist()
    known = "identified_type" in docs.column_names
    identified = docs["identified_type"].to_pylist() if known else [None] * docs.num_rows
    http_status = pc.fill_null(pc.not_equal(docs["http_status"], 200), False)
    too_large = pc.fill_null(pc.greater(pc.binary_length(payloads), max_bytes), False)
    todo = pc.and_(payloads.is_valid(), pc.invert(pc.or_(http_status, too_large)))

    texts, reasons = docs["text"].to_pylist(), [None] * docs.num_rows
    for row in pc.indices_nonzero(todo).to_pylist():
        payload = payloads[row].as_py()
        texts[row], reasons[row] = _extract(
            payload, (types[row], identified[row]), charsets[row], text_of, keep_error_pages
        )
    text, reason = pa.array(texts, docs.schema.field("text").type), pa.array(reasons, pa.string())
    named = {name: pc.equal(reason, name) for name in pc.unique(reason.drop_null()).to_pylist()}
    return reject(
        set_column(docs, "text", text),
        http_status=http_status,
        too_large=too_large,
        **named,
        empty=_is_empty(text),
    )


def _extract(
    payload: bytes, types: tuple[str | None, str | None], charset: str | None, text_of: TextOf, keep_error_pages: bool
) -> tuple[str | None, str | None]:
    """(text, reason to reject it). An error page has both, so that a person can see what it said.

    types  what the server claims, and what the crawler found
    """
    kind = kind_of(payload, *types)
    if kind not in (HTML, TEXT):
        return None, kind
    page, data = read(payload, charset)
    if page is None:
        return None, "undecodable"
    title, text = None, page
    if kind == HTML:
        source = look(data)
        if refused := refusal(source):
            return None, refused
        try:
            title, text = text_of(page, source)
        except _TooDeepError:
            return None, "too_deep"
        except (HTMLParserException, ValueError):
            return None, "parser_failure"
    if not keep_error_pages and is_error_page(title, text):
        return text, "error_page"
    return text, None


def _resiliparse(repair: bool, skip_elements: tuple[str, ...], **options) -> TextOf:
    skipped = list(skip_elements) or None
    try:
        extract_plain_text("<p>", skip_elements=skipped, **options)
    except CSSParserException as error:
        raise CurateError(f"`skip_elements` are CSS selectors: {error}", fix="fix or remove the selector") from error
    if not repair:
        return lambda page, source: _title_and_text(_parsed(page, source), skip_elements=skipped, **options)
    main_content = options["main_content"]

    def text_of(page: str, source: Source) -> tuple[str | None, str]:
        mark = source.mark(page) if main_content else ""
        marked = source.marked(mark) if main_content else source.page
        tree = _parsed(page if marked is source.page else marked.decode(), source)
        selectors = None
        if skipped:
            selectors = [mark_skipped(tree, skipped)]
        prepare(tree, mark, main_content, options["links"], selector_of(source, main_content))
        title, text = _title_and_text(tree, skip_elements=selectors, **options)
        return (title and title.replace(mark, ""), text.replace(mark, "")) if mark else (title, text)

    return text_of


def _title_and_text(tree: HTMLTree, **options) -> tuple[str | None, str]:
    return tree.title, extract_plain_text(tree, **options)


def _parsed(page: str, source: Source) -> HTMLTree:
    tree = HTMLTree.parse(page)
    if too_deep(tree, source):
        raise _TooDeepError
    return tree


def _trafilatura(main_content: bool, deduplicate: bool, links: bool, comments: bool, favor_precision: bool) -> TextOf:
    try:
        import trafilatura
        from trafilatura.deduplication import LRU_TEST
    except ImportError as error:
        raise CurateError(
            "the extractor `trafilatura` is not installed", fix='pip install "curate-corpus[trafilatura]"'
        ) from error

    def text_of(page: str, source: Source) -> tuple[str | None, str]:
        title = _parsed(page, source).title
        if not main_content:
            return title, trafilatura.html2txt(page)
        if deduplicate:  # what it remembers of other pages would make a text depend on what came before it
            LRU_TEST.clear()
        text = trafilatura.extract(
            page,
            include_links=links,
            include_comments=comments,
            favor_precision=favor_precision,
            deduplicate=deduplicate,
        )
        return title, text or ""

    return text_of


def _is_empty(text) -> pa.Array:
    return pc.invert(pc.fill_null(pc.match_substring_regex(text, r"[^\s]"), False))
