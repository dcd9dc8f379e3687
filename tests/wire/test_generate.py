"""The generated tables are what PostgreSQL's sources say, and what its server says."""

from __future__ import annotations

import runpy
from pathlib import Path

import psycopg
import pytest

from proxy.wire import generate
from proxy.wire.oids import BY_OID, TYPES
from proxy.wire.sqlstates import SQLSTATES
from tests.support.oracle import OraclePostgres

BOOTSTRAP = """\
create pg_proc 1255 bootstrap
 (
 oid = oid
 )
insert ( 1 )
close pg_proc
create pg_type 1247 bootstrap rowtype_oid 71
 (
 oid = oid ,
 typname = name ,
 typlen = int2 ,
 typtype = char ,
 typcategory = char ,
 typdelim = char ,
 typelem = oid ,
 typarray = oid
 )
insert ( 19 name NAMEDATALEN b S ',' 18 1003 )
insert ( 603 box 32 b G ';' 701 1020 )
insert ( 1020 _box -1 b A ';' 603 0 )
insert ( 71 pg_type -1 c C ',' 0 210 )
insert ( 210 _pg_type -1 b A ',' 71 0 )
close pg_type
insert ( 2 )
"""


def test_the_files_are_up_to_date() -> None:
    assert generate.main(["--check"]) == 0


def test_as_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(generate.__file__, run_name="__main__")
    assert caught.value.code == 0


def test_types_of_a_small_script() -> None:
    source = generate.oids_source(BOOTSTRAP)
    rows = [line.strip() for line in source.splitlines() if line.startswith("    TypeInfo(")]
    assert rows == [
        'TypeInfo(19, "name", 64, "S", "b", 1003, 0),',
        'TypeInfo(603, "box", 32, "G", "b", 1020, 0, ";"),',
        'TypeInfo(1020, "_box", -1, "A", "b", 0, 603, ";"),',
    ]


def test_a_script_that_ends_early() -> None:
    assert list(generate.type_rows("create pg_proc\n")) == []
    assert list(generate.type_rows("create pg_type 1\n oid = oid\ninsert ( 5 )")) == [{"oid": "5"}]


def test_codes_without_condition_name_are_left_out() -> None:
    source = generate.sqlstates_source(
        "# comment\nSection: Class 22\n\n"
        "22008 E ERRCODE_A datetime_field_overflow\n22008 E ERRCODE_ALIAS\n"
    )
    assert source.count("22008") == 1


def test_stale_files_are_found_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "is stale" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "oids.py").write_text("")
    assert generate.main(["--check"]) == 1


def test_without_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="not installed"):
        generate.share_directory()


def test_types_are_those_of_the_server(oracle: OraclePostgres) -> None:
    with psycopg.connect(oracle.dsn) as connection:
        rows = connection.execute(
            "SELECT oid::int, typname::text, typlen::int, typcategory::text, typtype::text,"
            " typarray::int, CASE typcategory WHEN 'A' THEN typelem::int ELSE 0 END,"
            " typdelim::text FROM pg_type WHERE oid < 10000 AND typtype <> 'c'"
            " AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = pg_type.typelem"
            " AND e.typtype = 'c')"
        ).fetchall()
    ours = {
        (t.oid, t.name, t.size, t.category, t.kind, t.array_oid, t.element_oid, t.delimiter)
        for t in TYPES.values()
    }
    assert ours == set(rows)
    assert set(BY_OID.values()) == set(TYPES.values())


def test_codes_of_every_class_we_use() -> None:
    assert SQLSTATES["08P01"] == "protocol_violation"
    assert SQLSTATES["0A000"] == "feature_not_supported"
    assert SQLSTATES["57014"] == "query_canceled"
    assert all(len(code) == 5 for code in SQLSTATES)
