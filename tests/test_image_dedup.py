"""Documents with the same pictures: the rule, one document after another, and what a release says of it."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import held, manifest, picture, write_rows
from PIL import Image
from releases import rejected_rows, release, released_rows

from curate.errors import CurateError
from curate.stage_api import find_stage
from curate.testing import docs, run_group

HASHES, DIGESTS = pa.list_(pa.uint64()), pa.list_(pa.string())
PICTURE = st.tuples(st.integers(0, 5), st.booleans(), st.sets(st.integers(0, 12), max_size=3))
"""Which of some pictures, whether it has a hash, and the bits in which that differs."""


def like(name: int, flipped: set[int]) -> int:
    return sum(1 << 10 * name + k for k in range(8)) ^ sum(1 << bit * 5 for bit in flipped)


def table(rows: list[list[tuple]], ids: list[str]) -> pa.Table:
    """Documents with what `images` says of such pictures."""
    digests = [[f"{name}{known}{sorted(flipped)}" for name, known, flipped in row] for row in rows]
    hashes = [[like(name, flipped) if known else None for name, known, flipped in row] for row in rows]
    return docs(
        *[""] * len(rows), id=ids, image_digests=pa.array(digests, DIGESTS), image_hashes=pa.array(hashes, HASHES)
    )


def deduplicated(partitions: list[pa.Table], **params) -> dict[str, dict]:
    stage = find_stage("image_dedup")
    done = run_group(stage, partitions, stage.configure(params), list(range(len(partitions))))
    return {row["id"]: row for one in done for row in one.to_pylist()}


def by_hand(rows: list[tuple[str, list[tuple]]], most: int | None) -> dict[str, tuple]:
    """{id: (reason, duplicate_of, similarity)} of documents in keep order."""
    kept, found = [], {}
    for id, row in rows:
        best = [
            min(
                (bits, place)
                for place, (_, other) in enumerate(kept)
                for one in other
                if (bits := apart(one, mine, most)) is not None
            )
            if any(apart(one, mine, most) is not None for _, other in kept for one in other)
            else None
            for mine in row
        ]
        if row and None not in best:
            bits = max(bits for bits, _ in best)
            reason = "duplicate_image" if bits < 0 else "near_duplicate_image"
            found[id] = (reason, kept[best[0][1]][0], 1 - max(bits, 0) / 64)
        else:
            kept.append((id, row))
            found[id] = (None, None, None)
    return found


def apart(one: tuple, other: tuple, most: int | None) -> int | None:
    """Bits between two pictures, -1 for equal bytes, None for more than `most`."""
    if one == other:
        return -1
    if most is None or not (one[1] and other[1]):
        return None
    bits = (like(one[0], one[2]) ^ like(other[0], other[2])).bit_count()
    return bits if bits <= most else None


@given(st.lists(st.lists(PICTURE, max_size=3), min_size=1, max_size=14), st.none() | st.integers(0, 8), st.data())
def test_equals_the_sequential_rule_in_any_partitions(rows, most, data):
    order = data.draw(st.permutations(range(len(rows))))
    ids = [f"{place:032x}" for place in order]
    cut = data.draw(st.integers(0, len(rows)))
    parts = [table(rows[:cut], ids[:cut]), table(rows[cut:], ids[cut:])]
    found = deduplicated(parts, distance=most, bins=data.draw(st.integers(1, 3)))
    sequence = [*sorted(zip(ids[:cut], rows[:cut], strict=True)), *sorted(zip(ids[cut:], rows[cut:], strict=True))]
    expected = by_hand(sequence, most)
    names = ("reject", "duplicate_of", "similarity")
    assert {id: tuple(row[name] for name in names) for id, row in found.items()} == expected


def test_clusters_are_of_all_that_are_joined():
    plain = [(0, True, set())], [(0, True, {0, 1})], [(0, True, {0, 1, 2, 3})], [(3, True, set())], []
    found = deduplicated([table(list(plain), [f"{n:032x}" for n in range(5)])], distance=2)
    rows = [found[f"{n:032x}"] for n in range(5)]
    assert [row["reject"] for row in rows] == [None, "near_duplicate_image", None, None, None]
    assert [row["cluster_size"] for row in rows] == [3, 3, 3, None, None]
    assert {row["cluster"] for row in rows[:3]} == {rows[0]["id"]}
    assert rows[1]["similarity"] == pytest.approx(1 - 2 / 64)


def test_a_document_stays_for_one_new_picture():
    rows = [[(0, True, set()), (1, True, set())], [(1, True, set())], [(1, True, set()), (2, True, set())]]
    found = deduplicated([table(rows, ["a", "b", "c"])])
    assert [found[id]["reject"] for id in "abc"] == [None, "duplicate_image", None]


def test_which_copy_stays_is_decided_by_keep():
    rows = [[(0, True, set())]] * 3
    found = deduplicated([table(rows, ["a", "b", "c"])], keep=["-position"])
    assert [found[id]["duplicate_of"] for id in "abc"] == ["c", "c", None]


def again(data: bytes, kind: str, size: float = 1.0, **options) -> bytes:
    """A picture, written anew."""
    stream, whole = io.BytesIO(), Image.open(io.BytesIO(data))
    whole.resize([int(side * size) for side in whole.size]).save(stream, kind, **options)
    return stream.getvalue()


def test_pictures_are_known_again_in_another_format_and_size():
    first = picture(1, 200, 150)
    copies = [again(first, "JPEG", quality=60), again(first, "PNG", 0.5), again(first, "WEBP", 2.0)]
    mirrored = io.BytesIO()
    Image.open(io.BytesIO(first)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored, "PNG")
    rows = [held(one) for one in (first, *copies, mirrored.getvalue(), picture(2, 200, 150))]
    stage = find_stage("images")
    made = docs(*["<image>"] * 6, id=list("abcdef"), images=rows)
    found = deduplicated([stage(made, **stage.configure({})).drop_columns("reject")])
    assert [found[id]["duplicate_of"] for id in "abcdef"] == [None, "a", "a", "a", None, None]


def test_sheets_of_one_color_are_not_alike():
    sheets = []
    for color in ("white", "black", "white"):
        stream = io.BytesIO()
        Image.new("RGB", (100, 100 + len(sheets)), color).save(stream, "PNG")
        sheets.append(stream.getvalue())
    stage = find_stage("images")
    made = docs(*["<image>"] * 4, images=[held(one) for one in [*sheets, sheets[0]]])
    rows = deduplicated([stage(made, **stage.configure({})).drop_columns("reject")]).values()
    assert sorted(str(row["reject"]) for row in rows) == ["None", "None", "None", "duplicate_image"]


def test_a_release_says_what_was_like_what(tmp_path):
    first = picture(1, 100, 100)
    rows = [held(first), held(first), held(again(first, "JPEG")), held(picture(2)), None]
    write_rows(tmp_path / "rows.parquet", rows)
    path = manifest(tmp_path, None, ["images"], stages=["image_dedup"])
    made = release(path, tmp_path / "work")
    kept, out = released_rows(made.path), rejected_rows(made.path)
    assert len(kept) == 3
    assert len(out) == 2
    ids = {row["id"] for row in kept}
    assert {row["stage"] for row in out} == {"image_dedup"}
    assert {row["duplicate_of"] for row in out} <= ids
    joined = pq.read_table(made.path / "evidence" / "near_duplicates.parquet").to_pylist()
    assert sorted(row["cluster_size"] for row in joined if row["kept"]) == sorted(
        {row["cluster"]: row["cluster_size"] for row in joined}.values()
    )
    [split] = made.lock["mixture"]["splits"]
    assert split["documents"] == len(kept)
    assert np.isclose(min(row["similarity"] for row in out), 1, atol=4 / 64)


def test_the_plan_says_which_stage_hashes_pictures(tmp_path):
    write_rows(tmp_path / "rows.parquet", [held(picture(1))])
    with pytest.raises(CurateError, match="add the stage `images` before it"):
        release(manifest(tmp_path, None, ["image_dedup"]), tmp_path / "work")


def test_the_same_words_about_another_picture_are_no_copy():
    stage = find_stage("exact_dedup")
    rows = [[(0, True, set())], [(0, True, set())], [(1, True, set())], []]
    made = table(rows, list("abcd"))
    both, text = (run_group(stage, [made], stage.configure({"images": images}))[0] for images in (True, False))
    assert both["reject"].to_pylist() == [None, "duplicate_text", None, None]
    assert text["reject"].to_pylist() == [None, *["duplicate_text"] * 3]
