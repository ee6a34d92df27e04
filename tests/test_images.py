"""Pictures beside rows, found and read; the stage that checks them; and releases that hold them."""

import io
import json
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from pictures import bomb, held, manifest, named, noise, picture, write_rows
from PIL import Image
from releases import rejected_rows, release, released_rows, write_jsonl, write_manifest

from curate.base.features import feature
from curate.base.pictures import picture_bytes
from curate.engine.resolve import resolve
from curate.errors import CurateError, Stopped
from curate.manifest.manifest import load
from curate.sources import Origin, partitions, picture_files
from curate.stage_api import find_stage
from curate.testing import check, docs

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "posttrain" / "llamafactory"
CROSS = {"a/1.png": picture(1), "a/2.jpg": picture(2, kind="JPEG"), "3.webp": picture(3, kind="WEBP", lossless=True)}


def read(path: Path, work: Path, **origin) -> pa.Table:
    """The documents that the manifest's only source gives."""
    return pa.concat_tables(blocks(path, work, **origin))


def blocks(path: Path, work: Path, **origin) -> list[pa.Table]:
    [[partition]] = resolve(load(path), work).partitions.values()
    return list(partitions.read(partition.identity, partition.where, Origin("seen", **origin)))


def why(table: pa.Table) -> list[str | None]:
    return table["reject"].to_pylist()


def folder_of(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def zip_of(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)


def tar_of(path: Path, files: dict[str, bytes], links: tuple[str, ...] = ()) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as out:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
        for name in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            out.addfile(entry)


PLACES = {"pictures": folder_of, "pictures.zip": zip_of, "pictures.tar": tar_of, "pictures.tar.gz": tar_of}


@pytest.mark.parametrize("place", PLACES)
def test_rows_get_the_pictures_that_they_name(tmp_path, place):
    PLACES[place](tmp_path / place, CROSS)
    rows = [named("a/1.png", "./a/2.jpg"), named("3.webp"), None, [], named("a/4.png")]
    write_rows(tmp_path / "rows.parquet", rows)
    found = read(manifest(tmp_path, place), tmp_path / "work")
    assert found["images"].to_pylist()[:4] == [
        [{"bytes": CROSS["a/1.png"], "path": "a/1.png"}, {"bytes": CROSS["a/2.jpg"], "path": "./a/2.jpg"}],
        [{"bytes": CROSS["3.webp"], "path": "3.webp"}],
        None,
        [],
    ]
    assert why(found) == [None] * 4 + ["picture_missing"]
    assert "a/4.png" in json.loads(found["meta"][4].as_py())["error"]


def test_the_first_place_that_has_a_picture_counts(tmp_path):
    folder_of(tmp_path / "one", {"x.png": picture(1)})
    zip_of(tmp_path / "two.zip", {"x.png": picture(2), "y.png": picture(3)})
    write_rows(tmp_path / "rows.parquet", [named("x.png"), named("y.png")])
    found = read(manifest(tmp_path, ["one", "two.zip"]), tmp_path / "work")
    assert [row[0]["bytes"] for row in found["images"].to_pylist()] == [picture(1), picture(3)]


CLIMBING = ["../secret.png", "a/../../secret.png", "/etc/passwd", "C:\\x.png", "a\\..\\x", "\\\\host\\x.png", "a\0.png"]


@pytest.mark.parametrize("place", PLACES)
def test_paths_that_lead_out_are_refused(tmp_path, place):
    hostile = {"../secret.png": picture(1), "/etc/passwd": picture(2), "x.png": picture(3)}
    PLACES[place](tmp_path / place, {"x.png": picture(3)} if place == "pictures" else hostile)
    (tmp_path / "secret.png").write_bytes(picture(9))
    paths = [*CLIMBING, "https://example.org/x.png", "x.png"]
    write_rows(tmp_path / "rows.parquet", [named(path) for path in paths])
    found = read(manifest(tmp_path, place), tmp_path / "work")
    assert why(found) == ["picture_refused"] * (len(paths) - 1) + [None]
    assert found["images"].to_pylist()[:-1] == [None] * (len(paths) - 1)


def test_links_out_of_a_folder_are_refused_unless_they_may_be_followed(tmp_path):
    folder_of(tmp_path / "else", {"x.png": picture(1), "deep/y.png": picture(2)})
    folder_of(tmp_path / "pictures", {"z.png": picture(3)})
    os.symlink("../else/x.png", tmp_path / "pictures" / "x.png")
    os.symlink(tmp_path / "else" / "deep", tmp_path / "pictures" / "deep")
    os.symlink("z.png", tmp_path / "pictures" / "again.png")
    write_rows(tmp_path / "rows.parquet", list(map(named, ("x.png", "deep/y.png", "again.png", "z.png"))))
    refused = read(manifest(tmp_path, "pictures"), tmp_path / "work")
    assert why(refused) == ["picture_refused", "picture_refused", None, None]
    followed = read(manifest(tmp_path, "pictures", follow_links=True), tmp_path / "work")
    assert why(followed) == [None] * 4


def test_links_and_damage_in_archives_are_named(tmp_path):
    tar_of(tmp_path / "a.tar", {"ok.png": picture(1)}, links=("link.png",))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as out:
        entry = zipfile.ZipInfo("other.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(entry, "/etc/passwd")
        out.writestr("bad.png", picture(2))
    data = (tmp_path / "b.zip").read_bytes()
    at = data.index(picture(2)) + 40
    (tmp_path / "b.zip").write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    write_rows(tmp_path / "rows.parquet", list(map(named, ("link.png", "other.png", "bad.png", "ok.png"))))
    found = read(manifest(tmp_path, ["a.tar", "b.zip"]), tmp_path / "work")
    assert why(found) == ["picture_refused", "picture_refused", "picture_unreadable", None]


def test_what_unpacks_without_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_PICTURE", 50_000)
    monkeypatch.setattr(picture_files, "MAX_ROW", 80_000)
    files = {"zeros.png": bytes(10**6), "part1.png": noise(1, 110), "part2.png": noise(2, 110)}
    for place in ("pictures", "pictures.zip", "pictures.tar"):
        PLACES[place](tmp_path / place, files)
        write_rows(tmp_path / "rows.parquet", [named("zeros.png"), named("part1.png"), named(*["part1.png"] * 3)])
        found = read(manifest(tmp_path, place), tmp_path / "work")
        assert why(found) == ["picture_too_large", None, "picture_too_large"]
    monkeypatch.setattr(picture_files, "UNPACKED", (0, 20))
    tar_of(tmp_path / "pictures.tar.gz", files | {"more.png": bytes(10**7)})
    with pytest.raises(CurateError, match="it unpacks to more than"):
        read(manifest(tmp_path, "pictures.tar.gz"), tmp_path / "work")


def test_blocks_are_cut_by_bytes_with_pictures(tmp_path):
    folder_of(tmp_path / "pictures", {f"{n}.png": noise(n, 60) for n in range(12)})
    write_rows(tmp_path / "rows.parquet", [named(f"{n}.png") for n in range(12)])
    found = blocks(manifest(tmp_path, "pictures"), tmp_path / "work", block_bytes=25_000)
    assert max(block.num_rows for block in found) == 2
    inside = pa.concat_tables(found)
    assert inside["position"].to_pylist() == list(range(12))
    write_rows(tmp_path / "rows.parquet", inside["images"].to_pylist())
    again = blocks(manifest(tmp_path), tmp_path / "work", block_bytes=25_000)
    assert max(block.num_rows for block in again) == 2
    assert pa.concat_tables(again)["images"].to_pylist() == inside["images"].to_pylist()


@pytest.mark.parametrize("place", ["pictures", "pictures.zip"])
def test_another_picture_is_another_input_and_another_place_is_not(tmp_path, place):
    def identity(folder: Path, **files: bytes):
        folder.mkdir(exist_ok=True)
        PLACES[place](folder / place, files)
        write_rows(folder / "rows.parquet", [named("a.png")])
        [[partition]] = resolve(load(manifest(folder, place)), tmp_path / "work").partitions.values()
        return partition.identity

    first, other = (identity(tmp_path / "one", **{"a.png": picture(n)}) for n in (1, 2))
    assert first != other
    assert str(tmp_path) not in json.dumps(other)
    if place != "pictures":  # a folder is known by the state of its files
        os.utime(tmp_path / "one" / place)
        os.rename(tmp_path / "one", tmp_path / "two")
        [[moved]] = resolve(load(tmp_path / "two" / "manifest.yaml"), tmp_path / "work").partitions.values()
        assert moved.identity == other


@pytest.mark.parametrize("place", PLACES)
def test_pictures_that_change_while_a_run_reads_them_stop_it(tmp_path, place):
    PLACES[place](tmp_path / place, {"a.png": picture(1)})
    write_rows(tmp_path / "rows.parquet", [named("a.png")])
    [[partition]] = resolve(load(manifest(tmp_path, place)), tmp_path / "work").partitions.values()
    PLACES[place](tmp_path / place, {"a.png": picture(2)})
    with pytest.raises(Stopped, match="changed"):
        list(partitions.read(partition.identity, partition.where, Origin("seen")))


def test_places_that_are_none_are_told_when_planned(tmp_path):
    write_rows(tmp_path / "rows.parquet", [named("a.png")])
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    (tmp_path / "list.txt").write_text("a.png")
    for place, said in {
        "hf://datasets/u/n/images.zip": "must be on this machine",
        "nowhere": "no such folder",
        "broken.zip": "not a zip file",
        "list.txt": "not a folder or archive of images",
    }.items():
        with pytest.raises(CurateError, match=said) as error:
            resolve(load(manifest(tmp_path, place)), tmp_path / "work")
        assert "sources.seen.images" in error.value.where
    (tmp_path / "pictures").mkdir()
    write_jsonl(tmp_path / "t.jsonl", [{"text": "t"}])
    document = {"name": "n", "version": "1.0.0", "license": "mit"}
    document |= {"sources": {"s": {"inputs": ["t.jsonl"], "images": "pictures"}}}
    with pytest.raises(CurateError, match="have no images"):
        resolve(load(write_manifest(tmp_path / "t.yaml", document)), tmp_path / "work")


def test_a_wrong_place_stops_the_run_and_says_so(tmp_path):
    (tmp_path / "else").mkdir()
    write_rows(tmp_path / "rows.parquet", [named("a.png"), None])
    with pytest.raises(CurateError, match=r"row 0: picture_missing: `a.png` is in none of else") as error:
        release(manifest(tmp_path, "else"), tmp_path / "work")
    assert error.value.fix.startswith("correct `images:`")


# The stage


def checked(*rows: list[dict] | None, texts: list[str | None] | None = None, **params) -> pa.Table:
    texts = texts or ["<image>" * len(row or ()) for row in rows]
    stage = find_stage("images")
    return stage(docs(*texts, images=rows), **stage.configure(params))


def cut_short() -> bytes:
    data = picture(1, 200, 200, "JPEG")
    return data[: len(data) // 2]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n"


def test_pictures_that_are_of_no_use_are_named():
    rows = {
        "picture_missing": [held(None), named("a.png")],
        "undecodable": [held(b""), held(b"no picture"), held(cut_short()), held(EPS), held(picture(1), cut_short())],
        "bomb": [held(bomb(20_000, 20_000)), held(bomb(10_000, 10_000)), held(bomb(2**31 - 1, 2**31 - 1))],
        None: [held(picture(1)), held(picture(2, kind="JPEG"), picture(3, kind="GIF")), None, []],
    }
    found = checked(*(row for kind in rows.values() for row in kind))
    assert why(found) == [reason for reason, kind in rows.items() for _ in kind]
    assert [found[name].to_pylist()[-3] for name in ("image_widths", "image_heights")] == [[32, 32], [24, 24]]
    assert found["n_images"].to_pylist()[-4:] == [1, 2, 0, 0]
    assert found["image_bytes"].to_pylist()[-4:-2] == [
        len(picture(1)),
        len(picture(2, kind="JPEG") + picture(3, kind="GIF")),
    ]


def test_sizes_and_formats_are_held_to_their_limits():
    rows = [held(picture(1, w, h)) for w, h in ((10, 50), (50, 10), (20, 20), (51, 20), (20, 51))]
    rows.append(held(picture(1, 20, 20, "BMP")))
    limits = {"min_width": 20, "min_height": 20, "max_width": 50, "max_height": 50, "formats": ["png", "jpeg"]}
    reasons = ["too_small", "too_small", None, "too_large", "too_large", "other_format"]
    assert why(checked(*rows, **limits)) == reasons
    assert why(checked(held(picture(1, 20, 20)), max_pixels=399)) == ["bomb"]


def test_marks_and_pictures_agree():
    one = held(picture(1))
    texts = ["<image>a", "a", "<image>a<image>", "<img>", None]
    assert why(checked(one, one, one, None, None, texts=texts)) == [None, *["marks_differ"] * 2, None, None]
    assert why(checked(one, None, texts=["<img>", "<image>"], mark="<img>")) == [None, None]
    assert why(checked(one, None, texts=["", "<image>"], mark=None)) == [None, None]


def test_the_stage_obeys_the_laws_on_pictures():
    rows = [held(picture(1)), held(picture(2), cut_short()), None, [], held(bomb(20_000, 20_000)), named("x")]
    check("images", docs(*"abcdef", images=rows))


def test_one_color_has_no_hash():
    flat = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(flat, "PNG")
    found = checked(held(flat.getvalue(), picture(1)))["image_hashes"].to_pylist()[0]
    assert found[0] is None
    assert found[1] is not None


# Releases


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A release of 40 pictures of some 11 kB each, of which one is missing and one broken."""
    folder = tmp_path_factory.mktemp("made")
    files = {f"{n}.png": noise(n, 60) for n in range(38)} | {"39.png": cut_short()}
    zip_of(folder / "p.zip", files)
    write_rows(folder / "rows.parquet", [named(f"{n}.png") for n in range(40)])
    path = manifest(folder, "p.zip", ["images"], max_bad_rows=0.1, shards={"size": "100KB"})
    return release(path, folder / "work"), files


def test_shards_and_row_groups_are_cut_by_bytes_with_pictures(made, tmp_path, monkeypatch):
    shards = [pq.read_table(file) for file in sorted((made[0].path / "data").glob("*.parquet"))]
    sizes = [int(picture_bytes(shard["images"]).sum()) for shard in shards]
    assert len(shards) == 5
    assert max(sizes) < 110_000
    rows = {row["images"][0]["path"]: row["images"][0]["bytes"] for row in released_rows(made[0].path)}
    assert rows == {name: data for name, data in made[1].items() if name != "39.png"}
    reasons = {(row["stage"], row["reason"]) for row in rejected_rows(made[0].path)}
    assert reasons == {("read", "picture_missing"), ("images", "undecodable")}
    monkeypatch.setattr("curate.engine.shard_tasks.GROUP_BYTES", 30_000)
    folder = made[0].path.parents[3]
    again = release(folder / "manifest.yaml", tmp_path / "work")
    file = pq.ParquetFile(min((again.path / "data").glob("*.parquet")))
    assert file.num_row_groups > 2


def test_a_release_without_the_stage_is_cut_alike(made, tmp_path):
    folder = made[0].path.parents[3]
    document = yaml.safe_load((folder / "manifest.yaml").read_text())
    document["sources"]["seen"] |= {"pipeline": [], "inputs": [str(folder / "rows.parquet")]}
    document["sources"]["seen"]["images"] = str(folder / "p.zip")
    again = release(write_manifest(tmp_path / "manifest.yaml", document), tmp_path / "work")
    assert len(list((again.path / "data").glob("*.parquet"))) == 5


def test_datasets_decodes_the_pictures_of_a_release(made, tmp_path):
    loaded = load_dataset(str(made[0].path), split="train", cache_dir=str(tmp_path))
    assert len(loaded) == 38
    [first] = loaded[0]["images"]
    data = made[1][loaded[0]["text"].split()[-1] + ".png"]
    assert np.array_equal(np.asarray(first), np.asarray(Image.open(io.BytesIO(data))))


def test_the_card_and_croissant_say_that_they_are_pictures(made):
    card = (made[0].path / "README.md").read_text().split("---")[1]
    [info] = yaml.safe_load(card)["dataset_info"]
    assert {"name": "images", "list": "image"} in info["features"]
    assert feature("images", "list<element: struct<bytes: binary, path: string>>") == {
        "name": "images",
        "list": "image",
    }
    told = mlcroissant.Dataset(str(made[0].path / "croissant.json"))
    [field] = [one for one in told.metadata.record_sets[0].fields if one.name.endswith("/images")]
    assert "ImageObject" in str(field.data_types)


def test_a_release_is_read_again_and_gives_the_same_pictures(made, tmp_path):
    path = manifest(tmp_path, None, ["images"], inputs=[str(made[0].path / "data" / "*.parquet")])
    again = release(path, tmp_path / "work")
    both = [{row["text"]: row["images"] for row in released_rows(one.path)} for one in (made[0], again)]
    assert both[0] == both[1]


@pytest.mark.skipif(not REAL.is_dir(), reason="no real pictures in ../shared/data")
def test_real_rows_and_pictures(tmp_path):
    images, stages = str(REAL), [{"images": {"min_width": 100}}, {"exact_dedup": {"images": True}}, "image_dedup"]
    inputs = [str(REAL / "mllm_demo.json")]
    made = release(manifest(tmp_path, images, stages, inputs=inputs, layout="messages-images"), tmp_path / "work")
    rows = released_rows(made.path)
    asked = json.loads((REAL / "mllm_demo.json").read_text())
    assert {row["images"][0]["path"] for row in rows} == {path for row in asked for path in row["images"]}
    assert len(rows) == 3
    for row in rows:
        assert all(image["bytes"] == (REAL / image["path"]).read_bytes() for image in row["images"])
    assert {row["reason"] for row in rejected_rows(made.path)} == {"duplicate_image"}
