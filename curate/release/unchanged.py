"""Whether a release is what a run would write again, without reading it.

    store/released/PLACE.json   states of the files of a release and of the parts it was copied from, and a checksum

A file is known by its size, times and inode, as inputs are. The checksum is of all that a release is made of, too:
its lock, the manifest's text, the parts, and the code that writes pages. `curate verify` reads every byte all the same.
"""

import json
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from curate.engine.plan import TokenParts
from curate.engine.store import Store
from curate.models.resources import read_note, write_text
from curate.release.lock import dumps
from curate.release.typed_lock import Lock, as_json
from curate.sources.stores import fingerprint


class Note:
    """What is remembered of a release that was written to `target` from this lock, manifest text and parts."""

    def __init__(self, store: Store, target: Path, lock: Lock, text: str, parts: dict, tokens: list[TokenParts]):
        ours = (path for path in Path(__file__).parent.iterdir() if path.is_file())
        code = sorted((path.name, fingerprint(path.stat())) for path in ours)
        made_of = [str(target), dumps(as_json(lock)), text, sorted(parts.items()), tokens, code]
        self.target = target
        self.key = _digest(made_of)
        self.path = store.root / "released" / f"{_digest([str(target)])}.json"
        used = {*parts.values(), *(fp for shard in tokens for fp in shard[:2] if fp)}
        self.parts = [store.part(fp) for fp in sorted(used)]

    def holds(self) -> bool:
        """Whether every file is as it was when the release was written."""
        with suppress(OSError, ValueError):
            return json.loads(read_note(self.path)) == self._states(self.target)
        return False

    def keep(self, draft: Path) -> None:
        """Remember the release while it is still a draft: no one else writes there, and renaming its folder changes
        no file. Failing to is no reason to stop."""
        with suppress(OSError):
            self.path.parent.mkdir(exist_ok=True)
            write_text(self.path, json.dumps(self._states(draft)))

    def _states(self, folder: Path) -> dict:
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
        files |= {path.name: path for path in self.parts}
        states = {name: fingerprint(path.lstat()) for name, path in files.items()}
        return {"states": states, "checksum": _digest([self.key, states])}


def _digest(values: list) -> str:
    return blake2b(json.dumps(values, sort_keys=True).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
