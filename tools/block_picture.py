"""A picture of a page's blocks, each colored by the verdict on it and by what people marked.

    python tools/block_picture.py SET FORM PAGE > picture.svg

SET and FORM as in a recipe of main content, PAGE the name or address of a page. Of a long page, parts are shown.
"""

import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from curate.kernels.page_names import TAG  # noqa: E402
from curate.kernels.page_reader import BLOCK_OWNER, ELEMENT_TAG  # noqa: E402
from curate.models.main_content import MainContent, Read  # noqa: E402
from curate.models.marked_pages import marked_pages  # noqa: E402
from curate.models.train_main_content import learned  # noqa: E402

COLORS = {
    (True, True): ("#1a7f37", "kept, and main content"),
    (True, False): ("#cf222e", "kept, and not main content"),
    (False, True): ("#bf8700", "left out, and main content"),
    (False, False): ("#8c959f", "left out, and not main content"),
}
WIDTH, LINE, TOP, MOST, CHARACTERS = 760, 18, 64, 36, 92
NAMES = {number: name for name, number in TAG.items()}


def chosen(n: int) -> list[int | None]:
    """The blocks that are shown: the first, the middle and the last third of MOST; None where some are left out."""
    if n <= MOST:
        return list(range(n))
    third = MOST // 3
    middle = (n - third) // 2
    return [*range(third), None, *range(middle, middle + third), None, *range(n - third, n)]


def picture(name: str, read: Read, marked: list[bool]) -> str:
    rows, blocks = [], list(read.blocks())
    shown = chosen(len(blocks))
    for line, number in enumerate(shown):
        y = TOP + line * LINE
        if number is None:
            rows.append(f'<text x="24" y="{y + 12}" fill="#57606a">…</text>')
            continue
        block, (color, _) = blocks[number], COLORS[blocks[number].kept, marked[number]]
        tag = NAMES.get(int(read.parts[2][read.parts[1][number, BLOCK_OWNER], ELEMENT_TAG]), "")
        text = " ".join(block.text.split())
        text = text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"
        rows.append(f'<rect x="8" y="{y}" width="8" height="{LINE - 3}" fill="{color}"/>')
        rows.append(f'<text x="24" y="{y + 12}" fill="{color}">{block.likely:.2f}</text>')
        rows.append(f'<text x="58" y="{y + 12}" fill="#57606a">{tag}</text>')
        rows.append(f'<text x="120" y="{y + 12}" fill="#1f2328">{escape(text)}</text>')
    legend = [
        f'<rect x="{8 + 188 * k}" y="34" width="8" height="12" fill="{color}"/>'
        f'<text x="{20 + 188 * k}" y="44" fill="#57606a">{said}</text>'
        for k, (color, said) in enumerate(COLORS.values())
    ]
    height = TOP + len(shown) * LINE + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" ',
        f'font-size="11"><title>Blocks of {escape(name)}</title>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" fill="#1f2328" font-size="13">{escape(name)}</text>',
    ]
    return "".join([*parts, *legend, *rows, "</svg>\n"])


def main() -> None:
    path, form, wanted = sys.argv[1:]
    for page in marked_pages(Path(path), form):
        if page.name == wanted:
            marked = [share >= 0.5 for share in learned(page).content.tolist()]
            sys.stdout.write(picture(page.name, MainContent.load().read(page.html), marked))
            return
    sys.exit(f"{path} has no page {wanted}")


if __name__ == "__main__":
    main()
