"""pgcli, on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.targets import Target
from tests.e2e.terminal import Terminal

PGCLI = Path(sys.executable).parent / "pgcli"

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(not PGCLI.exists(), reason="pgcli is not installed"),
]


def test_session(ours: Target, tmp_path: Path) -> None:
    """Start, query, describe, an error, completion, the end."""
    configuration = tmp_path / "config"
    configuration.write_text(
        "[main]\nless_chatty = True\nenable_pager = False\nprompt = 'ready> '\n"
        "multi_line = False\ntable_format = psql_unicode\n"
    )
    environment = {**ours.environment, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [str(PGCLI), "--pgclirc", str(configuration), "--no-password"]
    with Terminal(command, {**environment, "TERM": "xterm", "COLUMNS": "200"}) as terminal:
        terminal.expect("ready>")
        terminal.send("SELECT count(*) AS n FROM airlines\r")
        assert "16" in terminal.expect("SELECT 1")
        terminal.expect("ready>")
        terminal.send("\\d airlines\r")
        shown = terminal.expect("airlines_pkey")
        assert "carrier" in shown
        terminal.expect("ready>")
        terminal.send("\\dt\r")
        assert "weather" in terminal.expect("SELECT 5")
        terminal.expect("ready>")
        terminal.send("SELECT nope FROM airlines\r")
        terminal.expect('column "nope" does not exist')
        terminal.expect("ready>")
        terminal.send("SELECT * FROM fligh")
        terminal.send("\t")
        terminal.expect("flight_overview")
        terminal.send("\x03")
        terminal.expect("ready>")
        terminal.send("\\q\r")
        assert terminal.exit_code() == 0
