"""pydoc's pages of the standard library for the demo, the same on every machine.

Run as a script by a bare interpreter: what other packages do to modules of the standard library, as handlers of
`logging` do that pydoc lists, does not show.
"""

import importlib
import pickle
import pydoc
import re
import subprocess
import sys
import warnings
from typing import Any

SKIPPED = {
    "antigravity",
    "cgi",  # its signatures show the environment
    "this",
    "idlelib",
    "lib2to3",
    "turtle",
    "tkinter",
    "turtledemo",
}


class _Pages(pydoc.HTMLDoc):
    """Names data without its value: that may be the environment, the command line or a folder of this machine."""

    def docother(self, object: object, name: Any = None, mod: Any = None, *ignored: Any) -> str:
        return f"<strong>{name}</strong>"


def library_pages() -> dict[str, bytes]:
    """{module: its page as HTML in UTF-8}, sorted. The same interpreter gives the same bytes, from any process.

    >>> b"<title>Python: module json</title>" in library_pages()["json"]
    True
    """
    # -I and -S: neither the environment nor installed packages have a say.
    bare = subprocess.run([sys.executable, "-I", "-S", __file__], stdout=subprocess.PIPE, check=True)
    return pickle.loads(bare.stdout)


def _pages() -> dict[str, bytes]:
    pages = {name: _page(name) for name in sorted(sys.stdlib_module_names) if name[0] != "_" and name not in SKIPPED}
    return {name: page for name, page in pages.items() if page is not None}


def _page(name: str) -> bytes | None:
    writer = _Pages()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
            page = writer.page(pydoc.describe(module), writer.document(module, name))
    except ImportError:  # of another platform
        return None
    page = re.sub(r'<a href="file:[^"]*">[^<]*</a>', "", page)
    page = page.replace(sys.executable, "python")
    page = re.sub(r"(\s|&nbsp;)at(\s|&nbsp;)0x[0-9a-fA-F]+", "", page)
    return page.encode("utf-8", "replace")


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(_pages()))
