"""Rules in SQL: the first that is true is the reason, null rejects nothing, and what cannot be is said before a run."""

import duckdb
import pytest
from releases import one_source, rejected_rows, release, rows

from curate.engine.execute import Lost
from curate.errors import CurateError, ManifestError
from curate.manifest.manifest import load
from curate.release.make import prepare, run_events
from curate.stages.filter import columns_of, filter
from curate.testing import docs


def reasons(table, **rules) -> list[str | None]:
    return filter(table, **rules)["reject"].to_pylist()


def test_the_first_rule_that_is_true_is_the_reason():
    table = docs("a", "b", "c", n=[1, 5, 9])
    assert reasons(table, low="n < 6", tiny="n < 2") == ["low", "low", None]
    assert reasons(table, tiny="n < 2", low="n < 6") == ["tiny", "low", None]


def test_null_rejects_nothing():
    table = docs("a", "b", n=[None, 1])
    assert reasons(table, low="n < 6", not_low="not (n < 6)", zero="1 / (n - 1) > 0") == [None, "low"]


def test_rows_stay_in_place():
    table = docs(*map(str, range(5000)), n=list(range(5000)))
    result = filter(table, odd="n % 2 = 1")
    assert result.drop_columns("reject").equals(table)
    assert result["reject"].to_pylist() == [None, "odd"] * 2500


def test_no_rule_and_no_document():
    assert filter(docs("a")).equals(docs("a"))
    assert filter(docs(), low="n_bytes < 6").num_rows == 0


LONG = "a" * 50


@pytest.mark.parametrize("name", ["docs", "self", "rules", "reject"])
def test_any_word_may_name_a_rule(name):
    assert reasons(docs("a"), **{name: "text = 'a'"}) == [name]


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        ("n_words < 5 and docs.url is null", ("n_words", "url")),
        ("case when a > 1 then b else c end", ("a", "b", "c")),
        ("text like '%n_chars%' or regexp_matches(lower(text), 'x')", ("text",)),
        ("score between low and 0.5 or label in ('a', other)", ("score", "low", "label", "other")),
        ("true", ()),
        ("len(list_filter([1, 2], lambda x: x > n)) = 9", ("n",)),
        ("n + 1 > 2 and year(cast(date as timestamp)) > 2000", ("n", "date")),
        ("url.replace('www.', '').length() > n", ("url", "n")),
        ("regexp_replace(replace(lower(text), 'ß', 'ss'), '[^a-z]{1,40}', '', 'g') = ''", ("text",)),
        ("len(list_filter([x || '!' for x in string_split(text, ' ')], lambda x: x = url)) > 3", ("text", "url")),
    ],
)
def test_columns_of_a_rule(rule, columns):
    assert set(columns_of(rule=rule)) == set(columns)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("random() < 0.5", "random() does not return the same on every run"),
        ("date < cast(now() as varchar)", "now() does not return the same on every run"),
        ("date < cast(current_localtimestamp() as varchar)", "does not return the same on every run"),
        ("len(range(1000000000)) > 1", "range() can turn a few bytes into gigabytes"),
        ("rpad(text, 1000000000, 'x') = text", "rpad() can turn a few bytes into gigabytes"),
        ("length(replace(text, 'a', url)) > 9", "replace() can turn a few bytes into gigabytes"),
        ("length(text.replace('a', url)) > 9", "replace() can turn a few bytes into gigabytes"),
        ("len([text for x in string_split(text, '')]) > 9", "list_apply() can turn a few bytes into gigabytes"),
        (
            "array_to_string(string_split(text, ''), url) = text",
            "array_to_string() can turn a few bytes into gigabytes",
        ),
        (f"replace(replace(replace(text, 'a', '{LONG}'), 'a', '{LONG}'), 'a', '{LONG}') = 'a'", "replace() can turn"),
        (f"length(replace(text, 'a', '{'b' * 101}')) > 9", "replace() can turn a few bytes into gigabytes"),
        (f"length(regexp_replace(text, 'a', '{'b' * 101}', 'g')) > 9", "regexp_replace() can turn"),
        (f"replace(replace(text, 'a', '{'b' * 50}'), 'b', 'ccc') = text", "replace() can turn a few bytes"),
        ("n_bytes <", "not an SQL expression"),
        (" ", "a rule must be an SQL expression"),
        (5, "a rule must be an SQL expression, not 5"),
        ("n_bytes > (select max(n_bytes) from docs)", "only one document"),
        ("row_number() over () > 3", "only one document"),
        ("unnest([true, false])", "only one document"),
        ("pg_sleep(1) is null", "pg_sleep() does not return the same on every run"),
        ("ago(interval 1 day) > date", "ago() does not return the same on every run"),
        ("current_setting('threads') = '1'", "does not return the same on every run"),
        ("age(cast(date as timestamp)) > interval 1 day", "age() does not return the same on every run"),
        ("true) from read_text('/etc/passwd') where (true", "one expression, not a query"),
        ("true) as r1, (true", "one expression, not a query"),
        ("true) union all select (true", "one expression, not a query"),
        ("true); select (true", "one expression, not a query"),
        ("columns(*) = 'x'", "only one document"),
        ("? = 1", "cannot have parameters"),
        ("(" * 5000 + "true" + ")" * 5000, "not an SQL expression"),
    ],
)
def test_what_no_rule_may_be(rule, says):
    with pytest.raises(ManifestError) as caught:
        columns_of(bad=rule, good="n_bytes > 1", worse="((")
    assert says in str(caught.value)
    assert [problem.where for problem in caught.value.problems] == ["bad", "worse"]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("n_word < 5", "did you mean `n_words`?"),
        ("no_such_function(n_words) > 1", "no_such_function"),
        ("sum(n_words) > 5", "only one document"),
        ("length(n_words, n_words) > 5", "does not fit its columns"),
        ("n_words", "returns INTEGER, not true or false"),
        ("text", "returns VARCHAR, not true or false"),
        ("regexp_matches(text, '(')", "rule `bad`"),
        ("host('127.0.0.1'::inet) = 'x'", "inet"),
        ("stem(text, 'porter') = 'x'", "stem"),
    ],
)
def test_a_rule_is_tried_before_anything_runs(tmp_path, rule, says):
    manifest = one_source(tmp_path, rows(1, 3), ["length", {"filter": {"bad": rule}}])
    with pytest.raises(ManifestError) as caught:
        prepare(load(manifest), tmp_path / "work")
    assert says in str(caught.value)
    assert f"{manifest}:" in str(caught.value)


def test_a_rule_that_fails_on_a_document_is_no_crash():
    with pytest.raises(CurateError, match=r"rule `bad` fails on document \w+, where `text` is 'no number': Con"):
        filter(docs("no number"), bad="cast(text as integer) > 5")


@pytest.mark.parametrize(
    ("rule", "says", "fix"),
    [
        ("cast(text as integer) > 5", "Could not convert string 'two'", "try_cast"),
        ("cast(position as utinyint) * cast(200 as utinyint) > 1", "Overflow", "try("),
        ("regexp_matches(text, text || '(')", "missing )", "try("),
    ],
)
def test_a_rule_that_fails_names_itself_the_document_and_the_cure(tmp_path, rule, says, fix):
    texts = ["1", "2", "two", "3", "three"]
    manifest = one_source(
        tmp_path, [{"text": text} for text in texts], [{"filter": {"good": "text = '7'", "bad": rule}}]
    )
    with pytest.raises(CurateError) as caught:
        release(manifest, tmp_path / "work")
    assert caught.value.exit_code == 2
    assert "rule `bad` fails on document " in caught.value.what
    assert "`text` is" in caught.value.what or "`position` is 2" in caught.value.what
    assert "source `only`" in caught.value.what
    assert says in caught.value.what
    assert caught.value.where.startswith(f"{manifest}:")
    assert caught.value.where.endswith("sources.only.pipeline[0].filter.bad")
    line = int(caught.value.where.split(":")[1].split()[0])
    assert manifest.read_text().splitlines()[line - 1].strip().startswith("bad:")
    assert fix in caught.value.fix


def test_the_database_is_locked():
    from curate.stages.filter import _connect

    with _connect() as connection:
        for query in (
            "select * from read_text('/etc/hostname')",
            "install httpfs",
            "load httpfs",
            "attach '/tmp/x.db'",
            "copy (select 1) to '/tmp/x.csv'",
            "set enable_external_access = true",
            "set memory_limit = '1TB'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(query)


def test_the_reason_in_a_release_is_the_rule(tmp_path):
    rules = {"long": "n_words > 500", "copy": "text like 'The very same%'"}
    made = release(
        one_source(tmp_path, rows(1, 12), [{"length": {"min_chars": 30, "min_words": 0}}, {"filter": rules}]),
        tmp_path / "work",
    )
    found = {(row["stage"], row["reason"]) for row in rejected_rows(made.path)}
    assert found == {("filter", "copy"), ("length", "too_short")}


def test_other_order_other_reason(tmp_path):
    """What was made with the rules in one order is not taken for the other."""
    for first, second in (("a", "b"), ("b", "a")):
        rules = {first: "true", second: "true"}
        made = release(one_source(tmp_path, rows(1, 3), [{"filter": rules}]), tmp_path / "work")
        assert {row["reason"] for row in rejected_rows(made.path)} == {first}


def test_a_name_that_a_reason_cannot_have(tmp_path):
    with pytest.raises(ManifestError, match=r"a\.b"):
        load(one_source(tmp_path, rows(1, 3), [{"filter": {"a.b": "true"}}]))


def test_json_arrows_and_remarks_are_read_as_duckdb_reads_them():
    from curate.stages.filter import columns_of

    assert columns_of(a="meta->'tags'->>0 = 'x'") == ("meta",)
    assert columns_of(a="list_filter([1], lambda x: x > n)[1] = 1  -- a remark") == ("n",)


@pytest.mark.parametrize("read", [True, False])
def test_a_connection_that_an_error_has_ruined_is_not_used_again(read):
    """Neither by what reads rules nor by what runs them."""
    from curate.stages.filter import _connected

    def work():
        return columns_of(a="length(text) > 99") if read else filter(docs("a"), a="text = 'a'")

    with _connected() as connection:
        connection.close()
    with pytest.raises((CurateError, duckdb.Error)):
        work()
    work()


def test_rules_hold_in_a_copy_of_a_process_that_has_looked_at_them(tmp_path, monkeypatch):
    """As with `--workers 0`: a connection that the copy takes over is neither used nor closed there."""
    monkeypatch.setenv("CURATE_HANG_SECONDS", "20")
    manifest = one_source(tmp_path, [{"text": "a b"}, {"text": "a b c"}], [{"filter": {"short": "length(text) < 4"}}])
    *events, made = run_events(manifest, tmp_path / "work", workers=0)
    assert not [event for event in events if isinstance(event, Lost)]
    assert made.lock["stages"][0]["sources"]["only"]["reasons"] == {"short": 1}
