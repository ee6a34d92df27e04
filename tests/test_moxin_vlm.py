"""The manifests of a vision-language model's data: the full one is sound, and the same mixture in small runs."""

import json
import shutil
import zipfile

import pyarrow.parquet as pq
import pytest
from pictures import picture
from releases import rejected_rows, release

from curate.manifest.library import library
from curate.manifest.manifest import load


def row(number: int, image: str | None, *turns: str) -> dict:
    """A row as LLaVA's files have it."""
    said = [{"from": ("human", "gpt")[place % 2], "value": turn} for place, turn in enumerate(turns)]
    return {"id": f"{number:09}", "conversations": said} | ({"model": ""} if image is None else {"image": image})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 captions, of which two pictures are the same and one is small; 40 instructions, ten of text alone."""
    folder = tmp_path_factory.mktemp("vlm")
    shutil.copy(library("manifests") / "moxin-vlm-tiny.yaml", folder)
    with zipfile.ZipFile(folder / "captions.zip", "w") as out:
        for n in range(30):
            side = 20 if n == 7 else 64
            out.writestr(f"{n // 10:05}/{n:09}.jpg", picture(3 if n == 4 else n, side, side, "JPEG"))
    captions = [row(n, f"{n // 10:05}/{n:09}.jpg", "What is this?\n<image>", f"shapes of kind {n}") for n in range(30)]
    (folder / "captions.json").write_text(json.dumps(captions))
    (folder / "pictures" / "coco" / "train2017").mkdir(parents=True)
    asked = []
    for n in range(40):
        path = f"coco/train2017/{n:012}.jpg"
        if n % 4:
            (folder / "pictures" / path).write_bytes(picture(100 + n, 80, 60, "JPEG"))
        turns = ["<image>\n" * bool(n % 4) + f"What is at {n}?", f"A shape, {n}.", "And below?", "Another."]
        asked.append(row(n, path if n % 4 else None, *turns))
    (folder / "instructions.json").write_text(json.dumps(asked, indent=1))
    return folder


def test_the_full_manifest_is_the_same_mixture_with_pictures_beside_its_rows():
    full, tiny = (load(name) for name in ("moxin-vlm", "moxin-vlm-tiny"))
    assert full.spec.mixture == tiny.spec.mixture
    assert full.spec.sources.keys() == tiny.spec.sources.keys()
    for name, source in full.spec.sources.items():
        assert source.images
        stages = [[(call.label, call.params) for call in one.pipelines[name]] for one in (full, tiny)]
        assert stages[0] == stages[1]


def test_the_tiny_manifest_gives_the_same_bytes_on_any_number_of_workers(folder, tmp_path):
    alone, many = (
        release(folder / "moxin-vlm-tiny.yaml", tmp_path / str(workers), workers=workers) for workers in (0, 2)
    )
    assert alone.lock["digest"] == many.lock["digest"]
    splits = {split["phase"]: split["documents"] for split in alone.lock["mixture"]["splits"]}
    assert splits == {"align": 28, "instruct": 40}
    reasons = sorted((row["stage"], row["reason"]) for row in rejected_rows(alone.path))
    assert reasons == [("image_dedup", "duplicate_image"), ("images", "too_small")]
    rows = [one for file in alone.path.glob("data/**/*.parquet") for one in pq.read_table(file).to_pylist()]
    assert len(rows) == 68
    for one in rows:
        assert one["text"].count("<image>") == len(one["images"] or ()) == one["n_images"]
        assert one["messages"][0]["role"] == "user"
        for image in one["images"] or ():
            number = int(image["path"][-13:-4])
            size = (64, 64) if one["source"] == "captions" else (80, 60)
            seed = 3 if (one["source"], number) == ("captions", 4) else number
            assert image["bytes"] == picture(seed + 100 * (one["source"] == "instructions"), *size, "JPEG")
