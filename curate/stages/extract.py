"""Text out of web pages."""

from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import CSSParserException, HTMLParserException, HTMLTree

from curate.errors import CurateError
from curate.parameters import Positive
from curate.stage import reject, set_column, stage
from curate.stages._error_pages import is_error_page
from curate.stages._html import HTML, TEXT, decode, kind_of, too_deep


def _packages(extractor: str, **_) -> tuple[str, ...]:
    return ("resiliparse", "trafilatura") if extractor == "trafilatura" else ("resiliparse",)


@stage(version=1, packages=_packages, hazard=True, dry=True)
def extract(
    docs: pa.Table,
    *,
    extractor: Literal["resiliparse", "trafilatura"] = "resiliparse",
    main_content: bool = True,
    links: bool = False,
    comments: bool = True,
    preserve_formatting: bool = True,
    list_bullets: bool = True,
    alt_texts: bool = True,
    form_fields: bool = False,
    noscript: bool = False,
    skip_elements: tuple[str, ...] = (),
    max_bytes: Positive = 10_000_000,
    keep_error_pages: bool = False,
) -> pa.Table:
    """Extract the text of archived web pages.

    By default the main content as Resiliparse finds it, without menus, sidebars and footers, one block a
    line. Text that is there already, as in a WET file, stays as it is, and so does a `text/plain` payload
    once it is decoded.

    extractor            `resiliparse` (Bevendorff et al., ECIR 2018) or `trafilatura` (Barbaresi, ACL 2021),
                         which is many times slower
    main_content         false: the whole page
    links, comments      keep the targets of links; keep readers' comments
    preserve_formatting, list_bullets, alt_texts, form_fields, noscript, skip_elements (CSS selectors)
                         options of Resiliparse; the other extractor has no such choice
    max_bytes            size of the payload from which on it is too large
    keep_error_pages     keep pages that answer 200 and say "page not found"

    Reads: payload, http_status, content_type, charset, text
    Changes: text
    Reasons: http_status, too_large, pdf, image, audio_video, script, not_html, undecodable, too_deep,
        parser_failure, empty, error_page
    """
    if extractor == "trafilatura":
        text_of = _trafilatura(main_content, links, comments)
    else:
        text_of = _resiliparse(
            main_content=main_content,
            links=links,
            comments=comments,
            preserve_formatting=preserve_formatting,
            list_bullets=list_bullets,
            alt_texts=alt_texts,
            form_fields=form_fields,
            noscript=noscript,
            skip_elements=list(skip_elements) or None,
        )
    if "payload" not in docs.column_names:
        return reject(docs, empty=_is_empty(docs["text"]))
    payloads = docs["payload"].combine_chunks()
    types, charsets = docs["content_type"].to_pylist(), docs["charset"].to_pylist()
    http_status = pc.fill_null(pc.not_equal(docs["http_status"], 200), False)
    too_large = pc.fill_null(pc.greater(pc.binary_length(payloads), max_bytes), False)
    todo = pc.and_(payloads.is_valid(), pc.invert(pc.or_(http_status, too_large)))

    texts, reasons = docs["text"].to_pylist(), [None] * docs.num_rows
    for row in pc.indices_nonzero(todo).to_pylist():
        payload = payloads[row].as_py()
        texts[row], reasons[row] = _extract(payload, types[row], charsets[row], text_of, keep_error_pages)
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
    payload: bytes, content_type: str | None, charset: str | None, text_of: Callable, keep_error_pages: bool
) -> tuple[str | None, str | None]:
    """(text, reason to reject it). An error page has both, so that a person can see what it said."""
    kind = kind_of(payload, content_type)
    if kind not in (HTML, TEXT):
        return None, kind
    page = decode(payload, charset)
    if page is None:
        return None, "undecodable"
    title, text = None, page
    if kind == HTML:
        try:
            tree = HTMLTree.parse(page)
        except (HTMLParserException, ValueError):
            return None, "parser_failure"
        if too_deep(tree, page):
            return None, "too_deep"
        title, text = tree.title, text_of(tree, page)
    if not keep_error_pages and is_error_page(title, text):
        return text, "error_page"
    return text, None


def _resiliparse(**options) -> Callable[[HTMLTree, str], str]:
    try:
        extract_plain_text("<p>", **options)
    except CSSParserException as error:
        raise CurateError(f"`skip_elements` are CSS selectors: {error}", fix="mend or remove the selector") from error
    return lambda tree, page: extract_plain_text(tree, **options)


def _trafilatura(main_content: bool, links: bool, comments: bool) -> Callable[[HTMLTree, str], str]:
    try:
        import trafilatura
    except ImportError as error:
        raise CurateError(
            "the extractor `trafilatura` is not installed", fix='pip install "curate[trafilatura]"'
        ) from error
    if not main_content:
        return lambda tree, page: trafilatura.html2txt(page)
    return lambda tree, page: trafilatura.extract(page, include_links=links, include_comments=comments) or ""


def _is_empty(text) -> pa.Array:
    return pc.invert(pc.fill_null(pc.match_substring_regex(text, r"[^\s]"), False))
