from __future__ import annotations

import dataclasses
import doctest
import io
import json
import logging
import re
import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.observability import LogConfig
from proxy.observability import lines
from proxy.observability.lines import render
from proxy.observability.log import LineHandler, open_log
from proxy.observability.record import StatementRecord
from proxy.observability.writer import LineWriter

RECORD = StatementRecord(
    user="demo",
    database="cubewire",
    application="psql",
    statement="7-1",
    kind="cube",
    milliseconds=12.34567,
    rows=3,
    bytes=99,
    stages={"prepare": 1.5, "execute": 10.0},
    sql="SELECT 1",
)


@given(st.text(max_size=40))
def test_a_value_stays_inside_its_field(value: str) -> None:
    text = render({"user": value, "rows": 3}, "text")
    assert re.fullmatch(r"[\x20-\x7e]*", text)
    name, _, rest = text.removesuffix(" rows=3").partition("=")
    assert name == "user"
    if rest.startswith('"'):
        assert json.loads(rest) == value
    else:
        assert rest == value
    as_json = render({"user": value, "rows": 3}, "json")
    assert "\n" not in as_json
    assert as_json.isascii()
    assert json.loads(as_json) == {"user": value, "rows": 3}


def test_forged_lines_do_not_work() -> None:
    forged = "demo\nlevel=info user=admin\x1b[2J\u2028x\x7f"
    text = render({"user": forged, "ok": True}, "text")
    assert text.count("\n") == 0
    assert "\x1b" not in text
    assert "\x7f" not in text
    assert shlex.split(text)[-1] == "ok=true"


def test_empty_value_is_quoted_and_none_left_out() -> None:
    assert render({"a": "", "b": None, "c": False, "d": 1.5}, "text") == 'a="" c=false d=1.500'


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(lines).failed == 0


def log_of(tmp_path: Path, **options: object) -> Path:
    path = tmp_path / "log"
    log = open_log(LogConfig.model_validate({"file": path, **options}))
    log.clock = lambda: 1_790_000_000.123
    log.statement(RECORD)
    logging.getLogger("cubewire.server").info("up", extra={"fields": {"port": 1}})
    logging.getLogger("cubewire.server").debug("detail %s", 1)
    logging.getLogger("somebody").info("else")
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("cubewire.server").exception("broken")
    log.close()
    assert not any(isinstance(each, LineHandler) for each in logging.getLogger().handlers)
    return path


def test_statement_line_in_text(tmp_path: Path) -> None:
    first, second, third = log_of(tmp_path, format="text").read_text().splitlines()
    assert first == (
        "time=2026-09-21T14:13:20.123Z level=info logger=cubewire.statement user=demo "
        "database=cubewire application=psql statement=7-1 kind=cube sqlstate=00000 ms=12.346 "
        "prepare_ms=1.500 execute_ms=10.000 rows=3 bytes=99"
    )
    assert "logger=cubewire.server message=up port=1" in second
    assert "message=broken traceback=" in third


def test_statement_line_in_json_with_sql(tmp_path: Path) -> None:
    text = log_of(tmp_path, format="json", sql=True, level="debug").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows[0]["sql"] == "SELECT 1"
    assert rows[0]["execute_ms"] == 10.0
    assert [row.get("message") for row in rows] == [None, "up", "detail 1", "broken"]
    assert "ValueError: a\nb" in rows[3]["traceback"]


def test_warning_level_has_no_statements(tmp_path: Path) -> None:
    (line,) = log_of(tmp_path, level="warning").read_text().splitlines()
    assert "broken" in line


class Stuck(io.StringIO):
    def write(self, text: str) -> int:
        time.sleep(0.3)
        return super().write(text)


def test_a_stuck_file_stops_nobody_and_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.observability.writer._MOST_WAITING", 10)
    file = Stuck()
    writer = LineWriter(file)
    started = time.monotonic()
    for number in range(1000):
        writer.write(str(number))
    assert time.monotonic() - started < 60  # 300 s if it waited
    writer.close()
    assert writer.dropped + len(file.getvalue().splitlines()) == 1000
    assert writer.dropped >= 900


def test_a_broken_file_is_counted() -> None:
    file = io.StringIO()
    file.close()
    writer = LineWriter(file)
    writer.write("lost")
    writer.close()
    assert writer.dropped == 1


def slow_lines(tmp_path: Path, records: list[StatementRecord], **options: object) -> list[str]:
    path = tmp_path / "slow"
    log = open_log(LogConfig.model_validate({"file": path, "level": "warning", **options}))
    for record in records:
        log.statement(record)
    log.close()
    return path.read_text().splitlines()


SLOW = dataclasses.replace(RECORD, sql="SELECT 'v', $1", parameters=("secret", None))


def test_slow_statements_are_sampled(tmp_path: Path) -> None:
    options = {"slow_seconds": "12ms", "slow_sample": 0.25, "format": "json"}
    quick = dataclasses.replace(SLOW, milliseconds=11.9)
    lines = slow_lines(tmp_path, [SLOW, quick] * 8, **options)
    assert len(lines) == 2
    line = json.loads(lines[0])
    assert (line["logger"], line["level"]) == ("cubewire.slow", "warning")
    assert line["sql"] == "SELECT ?, $1"
    assert "parameters" not in line


def test_parameters_are_written_where_that_is_asked_for(tmp_path: Path) -> None:
    options = {"slow_seconds": "1ms", "slow_sql": "full", "slow_parameters": True}
    (line,) = slow_lines(tmp_path, [SLOW], **options)
    assert "'v'" in line
    assert json.loads(shlex.split(line)[-1].partition("=")[2]) == ["secret", None]
    (bare,) = slow_lines(tmp_path / "..", [SLOW], slow_seconds="1ms", slow_sql=False)
    assert "sql=" not in bare
