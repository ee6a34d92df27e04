"""Write anew what is made from the code: the schema of manifests, the reference, the map in README.md, mkdocs.yml.

    python tools/regenerate.py [--golden]

--golden: the results of stages in tests/golden too, once a stage's version was raised or a stage was added.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import reference  # noqa: E402
import reference_pages  # noqa: E402

from curate.manifest.schema import json_schema  # noqa: E402


def main() -> None:
    schema = json.dumps(json_schema(), indent=1) + "\n"
    (ROOT / "manifests" / "manifest.schema.json").write_text(schema, encoding="utf-8")
    write_reference(reference_pages.pages())
    readme = ROOT / "README.md"
    readme.write_text(reference.with_map(readme.read_text(encoding="utf-8")), encoding="utf-8")
    site = ROOT / "mkdocs.yml"
    site.write_text(reference.with_stages(site.read_text(encoding="utf-8")), encoding="utf-8")
    if "--golden" in sys.argv[1:]:
        subprocess.run([sys.executable, str(ROOT / "tests" / "test_golden.py")], check=True)


def write_reference(pages: dict[str, str]) -> None:
    """The pages of the reference, and none of stages that are gone."""
    for path in (ROOT / "docs" / "reference").rglob("*.md"):
        path.unlink()
    for name, text in pages.items():
        path = ROOT / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
