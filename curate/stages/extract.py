"""Extract the text of web pages."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import CSSParserException, HTMLParserException, HTMLTree

from curate.base.parameters import Positive
from curate.documents import TALLY, flat, utf8
from curate.errors import CurateError
from curate.kernels.block_text import KINDS
from curate.models.main_content import MainContent, Read, TooManyBlocksError
from curate.models.resources import Name
from curate.stage_api import reject, set_column, stage
from curate.stages._charset import read
from curate.stages._error_pages import is_error_page
from curate.stages._html_cost import RefusedError, looked_at, parsed
from curate.stages._main_content import path_of, read_page
from curate.stages._payload_kind import HTML, TEXT, kind_of
from curate.stages._visible_text import mark_skipped, prepare, selector_of


@dataclass(frozen=True)
class _Page:
    """What is made of a page. Of a model of blocks also: the share of its bytes that is kept, how sure that is, and
    `sizes`, see `block_text.sizes_by_kind`."""

    title: str | None
    text: str
    kept_share: float | None = None
    content_score: float | None = None
    sizes: np.ndarray | None = None


TextOf = Callable[[str, bytes], _Page]
"""Of a page, as decoded and as UTF-8."""


def _packages(extractor: str, **_) -> tuple[str, ...]:
    return ("resiliparse", "trafilatura") if extractor == "trafilatura" else ("resiliparse",)


def _adds(extractor: str, **_) -> dict[str, str]:
    return {"kept_share": "float", "content_score": "float"} if extractor == "curate" else {}


def _resources(extractor: str, model: str | None, **_) -> dict:
    return {"model": path_of(model)} if extractor == "curate" else {}


@stage(version=5, packages=_packages, adds_from=_adds, resources_from=_resources, hazard=True, dry=True)
def extract(
    docs: pa.Table,
    *,
    extractor: Literal["curate", "resiliparse", "trafilatura"] = "resiliparse",
    main_content: bool = True,
    format: Literal["text", "markdown"] = "text",
    title: bool = False,
    model: Name | None = None,
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

    Extracts the main content, without menus, sidebars and footers. Text that already exists, as in a WET file, is left
    unchanged, and so is a `text/plain` payload after decoding.

    `curate` classifies blocks with boosted trees (docs/extraction.md); its text is better than that of the others, and
    it is as fast as Resiliparse. Paragraphs are separated by a blank line; list items and table rows by a line break;
    cells by `|`. It adds two columns for `filter` rules: `kept_share`, the share of the page that was kept, and
    `content_score`, the probability that the kept text is main content.

    No visible character is lost: for every kept block, the characters of its DOM text are in the text, in order. A
    block is the text between two boundaries of block-level elements (`p`, `div`, `li`, `td`, `br` ...); it is kept if
    any of its letters or digits is. All characters are visible except white space, hidden elements, icons that are a
    single character of the page's own font, symbols that link to their own heading, and form controls.
    `10<sup>6</sup>` becomes `10^6`, `H<sub>2</sub>O` becomes `H_2O`, and a linked footnote `[1]`. A formula is its TeX
    if the page provides it, otherwise one line of text.

    extractor            `curate`, `resiliparse` (Bevendorff et al., ECIR 2018) or `trafilatura` (Barbaresi, ACL 2021),
                         which is many times slower
    main_content         false: the whole page
    format               `markdown`: with headings, code, quotations and tables marked; only for `curate`, like the next
                         two options
    title                begin with the title of the page if the text does not
    model                a model that `curate train` trained on labeled pages; null: the built-in model
    repair               false: Resiliparse's original output, which loses words within sentences, lists near `body` and
                         formulas (docs/decisions/0013), as in corpora made with it; `trafilatura` has no repair
    links                keep the targets of links; never done by `curate`
    comments             keep readers' comments
    preserve_formatting  keep line breaks, indents and lists; only for Resiliparse, like the alt texts, form fields and
                         noscript below
    list_bullets         put bullets and numbers before list items
    alt_texts            keep the alternative texts of images
    form_fields          keep the contents of form fields
    noscript             keep content for browsers without scripts
    skip_elements        CSS selectors of elements to leave out; not for Trafilatura
    favor_precision      less but more reliable text; only for Trafilatura
    deduplicate          leave out text that a page repeats; only for Trafilatura
    max_bytes            maximum size of a payload, in bytes
    keep_error_pages     keep pages with status 200 that say "page not found"

    Reads: payload, http_status, content_type, identified_type, charset, text
    Adds: kept_share (float, 0 to 1), content_score (float, 0 to 1)
    Changes: text
    Reasons: http_status, too_large, pdf, image, audio_video, script, not_html, undecodable, too_deep,
        too_complex, parser_failure, empty, error_page
    """
    if extractor == "curate":
        text_of = _curate(
            path_of(model), main_content, format == "markdown", title, comments, list_bullets, skip_elements
        )
    elif extractor == "trafilatura":
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
    added = tuple(_adds(extractor))
    if "payload" not in docs.column_names:
        for name in added:
            docs = set_column(docs, name, pa.nulls(docs.num_rows, pa.float32()))
        return reject(docs, empty=_is_empty(docs["text"]))
    return _of_payloads(docs, text_of, added, max_bytes, keep_error_pages)


def judged_page(docs: pa.Table, params: dict) -> tuple[MainContent, Read] | None:
    """The model of blocks and what it said of a page, for `curate explain --blocks`.

    docs    one row, as it came from its source
    params  of `extract: {extractor: curate}`, defaults filled in

    None where the row does not get as far as the model, by the same checks as in a run.
    """
    if "payload" not in docs.column_names:
        return None
    model, found = MainContent.load(path_of(params["model"])), []

    def text_of(page: str, data: bytes) -> _Page:
        options = (params[name] for name in ("main_content", "comments", "skip_elements"))
        found.append((model, read_page(model, page, data, *options)))
        return _Page(None, "")

    _of_payloads(docs, text_of, (), params["max_bytes"], keep_error_pages=True)
    return found[0] if found else None


def _of_payloads(
    docs: pa.Table, text_of: TextOf, added: tuple[str, ...], max_bytes: int, keep_error_pages: bool
) -> pa.Table:
    """The text of each payload, what is `added` of its page, and why it is rejected."""
    payloads = flat(docs["payload"])
    types, charsets = docs["content_type"].to_pylist(), docs["charset"].to_pylist()
    known = "identified_type" in docs.column_names
    identified = docs["identified_type"].to_pylist() if known else [None] * docs.num_rows
    http_status = pc.fill_null(pc.not_equal(docs["http_status"], 200), False)
    too_large = pc.fill_null(pc.greater(pc.binary_length(payloads), max_bytes), False)
    todo = pc.and_(payloads.is_valid(), pc.invert(pc.or_(http_status, too_large)))

    texts, reasons = docs["text"].to_pylist(), [None] * docs.num_rows
    measured = {name: [None] * docs.num_rows for name in added}
    sizes = np.zeros((docs.num_rows, 2, len(KINDS)), np.int64)
    data, offsets = utf8(payloads)
    for row in pc.indices_nonzero(todo).to_pylist():
        payload = data[offsets[row] : offsets[row + 1]].tobytes()
        page, reasons[row] = _extract(payload, (types[row], identified[row]), charsets[row], text_of, keep_error_pages)
        texts[row] = page and page.text
        for name, values in measured.items():
            values[row] = page and getattr(page, name)
        if page and page.sizes is not None:
            sizes[row] = page.sizes
    for name, values in measured.items():
        docs = set_column(docs, name, pa.array(values, pa.float32()))
    docs = set_column(docs, TALLY, _tally(sizes)) if added else docs
    text, reason = pa.array(texts, docs.schema.field("text").type), pa.array(reasons, pa.string())
    named = {name: pc.equal(reason, name) for name in pc.unique(reason.drop_null()).to_pylist()}
    return reject(
        set_column(docs, "text", text),
        http_status=http_status,
        too_large=too_large,
        **named,
        empty=_is_empty(text),
    )


def _tally(sizes: np.ndarray) -> pa.Array:
    """Of sizes, int64 of shape (documents, 2, KINDS): a struct with `paragraph_found`, `paragraph_kept` and so on."""
    fields = {
        f"{kind}_{what}": sizes[:, w, k] for k, kind in enumerate(KINDS) for w, what in enumerate(("found", "kept"))
    }
    return pa.StructArray.from_arrays([pa.array(column) for column in fields.values()], names=[*fields])


def _extract(
    payload: bytes, types: tuple[str | None, str | None], charset: str | None, text_of: TextOf, keep_error_pages: bool
) -> tuple[_Page | None, str | None]:
    """(page, reason to reject it). An error page has both, so that a person can see what it said.

    types  what the server claims, and what the crawler found
    """
    kind = kind_of(payload, *types)
    if kind not in (HTML, TEXT):
        return None, kind
    text, data = read(payload, charset)
    if text is None:
        return None, "undecodable"
    page = _Page(None, text)
    if kind == HTML:
        try:
            page = text_of(text, data)
        except RefusedError as refused:
            return None, str(refused)
        except TooManyBlocksError:
            return None, "too_complex"
        except (HTMLParserException, ValueError):
            return None, "parser_failure"
    if not keep_error_pages and is_error_page(page.title, page.text):
        return page, "error_page"
    return page, None


def _curate(
    path: Path,
    main_content: bool,
    markdown: bool,
    title: bool,
    comments: bool,
    bullets: bool,
    skip_elements: tuple[str, ...],
) -> TextOf:
    model = MainContent.load(path)
    _check_selectors(skip_elements)

    def text_of(page: str, data: bytes) -> _Page:
        found = read_page(model, page, data, main_content, comments, skip_elements)
        text = found.text(markdown, bullets)
        if title and found.title and not text.removeprefix("# ").startswith(found.title):
            text = f"{'# ' if markdown else ''}{found.title}\n\n{text}"
        return _Page(found.title, text, round(found.kept_share, 4), round(found.score, 4), found.sizes_by_kind())

    return text_of


def _check_selectors(selectors: tuple[str, ...]) -> None:
    try:
        extract_plain_text("<p>", skip_elements=list(selectors) or None)
    except CSSParserException as error:
        what = f"invalid CSS selector in `skip_elements`: {error}"
        raise CurateError(what, fix="fix or remove the selector") from error


def _resiliparse(repair: bool, skip_elements: tuple[str, ...], **options) -> TextOf:
    skipped = list(skip_elements) or None
    _check_selectors(skip_elements)
    if not repair:
        return lambda page, data: _title_and_text(parsed(page, looked_at(data)), skip_elements=skipped, **options)
    main_content = options["main_content"]

    def text_of(page: str, data: bytes) -> _Page:
        source = looked_at(data)
        mark = source.mark(page) if main_content else ""
        marked = source.marked(mark) if main_content else source.page
        tree = parsed(page if marked is source.page else marked.decode(), source)
        selectors = None
        if skipped:
            selectors = [mark_skipped(tree, skipped)]
        prepare(tree, mark, main_content, options["links"], selector_of(source, main_content))
        found = _title_and_text(tree, skip_elements=selectors, **options)
        if not mark:
            return found
        return _Page(found.title and found.title.replace(mark, ""), found.text.replace(mark, ""))

    return text_of


def _title_and_text(tree: HTMLTree, **options) -> _Page:
    return _Page(tree.title, extract_plain_text(tree, **options))


def _trafilatura(main_content: bool, deduplicate: bool, links: bool, comments: bool, favor_precision: bool) -> TextOf:
    try:
        import trafilatura
        from trafilatura.deduplication import LRU_TEST
    except ImportError as error:
        raise CurateError(
            "the extractor `trafilatura` is not installed", fix='pip install "curate-corpus[trafilatura]"'
        ) from error

    def text_of(page: str, data: bytes) -> _Page:
        title = parsed(page, looked_at(data)).title
        if not main_content:
            return _Page(title, trafilatura.html2txt(page))
        if deduplicate:  # what it remembers of other pages would make a text depend on what came before it
            LRU_TEST.clear()
        text = trafilatura.extract(
            page,
            include_links=links,
            include_comments=comments,
            favor_precision=favor_precision,
            deduplicate=deduplicate,
        )
        return _Page(title, text or "")

    return text_of


def _is_empty(text) -> pa.Array:
    return pc.invert(pc.fill_null(pc.match_substring_regex(text, r"[^\s]"), False))
