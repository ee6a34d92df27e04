"""A case: a folder of small inputs, copied to where `curate` may run over it, and what may be asked of the outcome."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
TIMEOUT = 120
"""Seconds a command may take before it counts as hung."""


@dataclass(frozen=True)
class Outcome:
    """What a command did. code: its exit code, None where it was ended after TIMEOUT seconds."""

    code: int | None
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    def expect(self, code: int, *words: str) -> "Outcome":
        """Hold it to an exit code, and to words it says on either stream."""
        assert self.code == code, f"exit {self.code}, not {code}: {self.said[-300:]}"
        missing = [word for word in words if word not in self.said]
        assert not missing, f"does not say {missing}: {self.said[-300:]}"
        return self


@dataclass
class Case:
    """A copy of a case's folder. env: variables of its commands beside those of this process."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copy(cls, source: Path, target: Path) -> "Case":
        # Two levels above a case lies the data that some manifests name.
        home = target / "cases" / source.name
        shutil.copytree(source, home, symlinks=True)
        subprocess.run(["chmod", "-R", "u+w", str(home)], check=True)
        (target / "data").symlink_to(SHARED / "data")
        return cls(home)

    def curate(self, *args: str, memory: int = 0, timeout: float = TIMEOUT, **env: str) -> Outcome:
        """Run a command of curate in the folder, in one process. memory: bytes of address space it may use."""
        command = [sys.executable, "-m", "curate", *args]
        if memory:
            command = ["prlimit", f"--as={memory}", *command]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        here = os.environ | {"CURATE_WORKERS": "0", "PYTHONPATH": os.pathsep.join(paths)} | self.env | env
        process = subprocess.Popen(
            command, cwd=self.folder, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return Outcome(None, "", "hung")
        return Outcome(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    def run(self, manifest: str = "manifest.yaml", *options: str, code: int = 0) -> Outcome:
        return self.curate("run", manifest, *options).expect(code)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def release(self, name: str = "t", version: str = "0.1.0") -> Path:
        return self.folder / "work" / "releases" / name / version

    def rows(self, name: str = "t", version: str = "0.1.0", source: str | None = None) -> list[dict]:
        """The released rows, of one source or all."""
        shards = sorted(self.release(name, version).glob("data/**/*.parquet"))
        found = [row for shard in shards for row in pq.ParquetFile(shard).read().to_pylist()]
        return [row for row in found if source in (None, row["source"])]

    def texts(self, name: str = "t", version: str = "0.1.0", source: str | None = None) -> list[str]:
        return [row["text"] for row in self.rows(name, version, source)]

    def lock(self, name: str = "t", version: str = "0.1.0") -> dict:
        return json.loads((self.release(name, version) / "lock.json").read_text())

    def rejected(self, name: str = "t", version: str = "0.1.0") -> list[dict]:
        files = sorted(self.release(name, version).glob("evidence/rejected*.parquet"))
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def card(self, name: str = "t", version: str = "0.1.0") -> dict:
        """The front matter of the release's card."""
        import yaml

        return yaml.safe_load((self.release(name, version) / "README.md").read_text().split("---\n")[1])
