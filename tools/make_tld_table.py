"""Write curate/stages/_tlds.py from the Public Suffix List that the package `publicsuffixlist` carries.

    pip install publicsuffixlist && python tools/make_tld_table.py

The table is data, not a lookup at run time, so that a text is masked the same way everywhere. A newer list changes what
counts as an e-mail address: raise the version of the stage `pii`.
"""

from importlib.metadata import version
from pathlib import Path

from publicsuffixlist import PublicSuffixList


def main() -> None:
    known = PublicSuffixList(only_icann=True)
    labels = {suffix.rpartition(".")[2] for suffix in known._publicsuffix if suffix}
    names = sorted(label for label in labels if label.isascii() and label.isalpha())
    target = Path(__file__).parents[1] / "curate" / "stages" / "_tlds.py"
    lines, line = [], "   "
    for name in names:
        if len(line) + len(name) + 1 > 110:
            lines.append(line)
            line = "   "
        line += f" {name}"
    lines.append(line)
    target.write_text(
        '"""Made by tools/make_tld_table.py: the top-level domains of the Public Suffix List, in ASCII letters."""\n\n'
        f'VERSION = "publicsuffixlist {version("publicsuffixlist")}"\n\n'
        'TLDS = frozenset(\n    """\n' + "\n".join(lines) + '\n    """.split()  # noqa: SIM905\n)\n'
    )


if __name__ == "__main__":
    main()
