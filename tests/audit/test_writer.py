"""Sinks and the writer: nothing is lost that could be kept, and what is lost is told."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy.audit.chain import Chain
from proxy.audit.files import FileLimits, FileSink
from proxy.audit.opening import chain_key, open_trail
from proxy.audit.sinks import Sink, StdoutSink
from proxy.audit.syslog import SyslogAddress, SyslogSink
from proxy.audit.trail import AuditTrail
from proxy.audit.verify import verify
from proxy.audit.writer import AuditWriter
from proxy.config.audit import AuditConfig
from proxy.errors import SessionError
from tests.support.waiting import until


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ------------------------------------------------------------------------- files


def test_files_rotate_by_size_and_age_and_old_ones_go(tmp_path: Path) -> None:
    now = [1_000_000.0]
    path = tmp_path / "a.jsonl"
    sink = FileSink(path, FileLimits(max_bytes=100, max_age=60, keep=2), clock=lambda: now[0])
    for number in range(10):
        now[0] += 1
        sink.write([f"{number}" * 40])
    assert path.read_text() == "8" * 40 + "\n" + "9" * 40 + "\n"
    older = sorted(tmp_path.glob("a.jsonl.*"))
    assert [each.read_text()[0] for each in older] == ["4", "6"]
    now[0] += 61
    sink.write(["late"])
    assert path.read_text() == "late\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_process_writes_a_file(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a", FileLimits())
    with pytest.raises(OSError, match="by another process"):
        FileSink(tmp_path / "a", FileLimits())
    sink.close()
    FileSink(tmp_path / "a", FileLimits()).close()


def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"seq":1}\n{"se')
    sink = FileSink(path, FileLimits(fsync=True))
    assert sink.torn_bytes == 4
    assert sink.last_line() == '{"seq":1}'
    sink.write(["next"])
    assert path.read_text() == '{"seq":1}\nnext\n'


@pytest.mark.parametrize("text", ["secret: 1", '{"seq":1}\nkey', "x" * 2_000_000])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(OSError, match="no line of an audit trail"):
        FileSink(path, FileLimits())
    assert path.read_text() == text


def test_the_last_line_may_be_in_the_newest_rotated_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    sink = FileSink(path, FileLimits(max_bytes=10))
    sink.write(["first line"])
    sink.write(["second line"])
    sink.close()
    path.write_text("")
    assert FileSink(path, FileLimits()).last_line() == "first line"


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "a"
    sink = FileSink(path, FileLimits())
    sink.write(["1"])
    path.rename(tmp_path / "b")
    sink.write(["2"])
    assert path.read_text() == "2\n"


def test_a_full_disk_is_an_error() -> None:
    sink = FileSink(Path("/dev/full"), FileLimits())
    with pytest.raises(OSError, match="No space left"):
        sink.write(["1"])


def test_standard_output_that_is_closed_is_an_error(tmp_path: Path) -> None:
    file = (tmp_path / "out").open("w")
    sink = StdoutSink(file)
    sink.write(["1", "2"])
    assert (tmp_path / "out").read_text() == "1\n2\n"
    file.close()
    with pytest.raises(OSError, match="standard output"):
        sink.write(["3"])


# ------------------------------------------------------------------------- syslog


def test_syslog_by_datagrams(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "log"))
        addresses = {f"udp://127.0.0.1:{udp.getsockname()[1]}": udp, f"unix:{tmp_path}/log": unix}
        for text, server in addresses.items():
            sink = SyslogSink(SyslogAddress.parse(text), "local3", lambda: 0.25)
            sink.write(['{"a":1}', '{"b":2}'])
            host = socket.gethostname()
            head = f"<157>1 1970-01-01T00:00:00.250Z {host} cubewire {os.getpid()} audit - "
            assert server.recv(1000).decode() == head + '{"a":1}'
            assert server.recv(1000).decode() == head + '{"b":2}'
            sink.close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_syslog_by_stream_is_counted_and_connects_again(tmp_path: Path, kind: str) -> None:
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    with socket.socket(family) as server:
        server.bind(("127.0.0.1", 0) if kind == "tcp" else str(tmp_path / "log"))
        server.listen()
        place = f"tcp://127.0.0.1:{server.getsockname()[1]}" if kind == "tcp" else "unix:"
        place += str(tmp_path / "log") if kind == "unix" else ""
        sink = SyslogSink(SyslogAddress.parse(place), "auth", lambda: 0.0)
        sink.write(['{"a":1}'])
        peer, _ = server.accept()
        length, _, rest = peer.recv(1000).partition(b" ")
        assert int(length) == len(rest)
        peer.close()

        def fails() -> bool:
            try:
                sink.write(["x"])
            except OSError:
                return True
            return False

        until(fails)
        sink.write(["again"])
        again, _ = server.accept()
        assert again.recv(1000).endswith(b"audit - again")
        again.close()
        sink.close()


@pytest.mark.parametrize("text", ["", "unix:log", "udp://host", "tcp://h:0", "http://h:1"])
def test_syslog_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="no syslog address"):
        SyslogAddress.parse(text)


# ------------------------------------------------------------------------- the writer


class Gate:
    """A sink that can be shut, as a disk that is full."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open = threading.Event()
        self.tried = 0

    def last_line(self) -> str | None:
        return None

    def write(self, lines: Sequence[str]) -> None:
        self.tried += 1
        if not self.open.is_set():
            raise OSError(28, "No space left on device")
        self.lines += lines

    def close(self) -> None:
        return


def trail_over(sink: Sink, capacity: int, *, required: bool) -> tuple[AuditTrail, AuditWriter]:
    writer = AuditWriter(sink, Chain(b"key"), capacity=capacity, source="worker-0")
    return AuditTrail(writer, required=required), writer


def test_a_lost_sink_stops_service_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("proxy.audit.writer.RETRY_SECONDS", 0.05)
    gate = Gate()
    trail, writer = trail_over(gate, 100, required=True)
    trail.check()
    trail.administration("one", login="demo", target="1")
    until(lambda: gate.tried >= 3)
    # It is told once, and only what this writer says counts: others may be at their end.
    told = [each.message for each in caplog.records if each.thread == writer._thread.ident]
    assert told == ["the audit trail cannot be written"]
    with pytest.raises(SessionError) as refused:
        trail.check("FATAL")
    assert (refused.value.sqlstate, refused.value.severity) == ("58030", "FATAL")
    assert trail.stops_service == "the audit trail cannot be written: No space left on device"
    trail.administration("two", login="demo", target="1")
    gate.open.set()
    until(lambda: writer.written == 2)
    trail.check()
    assert trail.stops_service is None
    assert [json.loads(line)["action"] for line in gate.lines] == ["one", "two"]
    trail.close()


def test_a_full_queue_stops_service_and_the_gap_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.audit.writer.RETRY_SECONDS", 0.05)
    gate = Gate()
    trail, _ = trail_over(gate, 5, required=False)
    for number in range(8):
        trail.administration(str(number), login="demo", target="1")
    assert trail.missed == 3
    assert trail.problem is not None
    assert trail.stops_service is None  # it is not required
    trail.check()
    gate.open.set()

    def missed() -> int:
        found = [json.loads(line) for line in gate.lines]
        return sum(row["count"] for row in found if row["action"] == "events missed")

    # The thread may have looked in between, and tells then what was missed by that time first.
    until(lambda: missed() == 3)
    trail.close()
    actions = [json.loads(line)["action"] for line in gate.lines]
    assert [each for each in actions if each != "events missed"] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "closed",
    ]
    assert actions[5] == "events missed"


def test_appending_costs_the_event_loop_next_to_nothing() -> None:
    gate = Gate()
    trail, _ = trail_over(gate, 50_000, required=True)
    started = time.thread_time()
    for _ in range(2_000):
        trail.administration("x", login="demo", target="1")
    assert (time.thread_time() - started) / 2_000 < 0.001
    gate.open.set()
    trail.close()


# ------------------------------------------------------------------------- opening


def opened(folder: Path, source: str = "worker-0", **options: object) -> AuditTrail:
    options = {"sink": "file", "chain": True, "file": folder / "log" / "audit.jsonl", **options}
    config = AuditConfig.model_validate(options)
    return open_trail(config, folder / "state", source, several=source != "worker-0")


def test_a_chain_goes_on_over_restarts(tmp_path: Path) -> None:
    for number in range(3):
        trail = opened(tmp_path)
        trail.administration(str(number), login="demo", target="1")
        trail.close()
    path = tmp_path / "log" / "audit.jsonl"
    actions = [row["action"] for row in rows(path)]
    assert actions == [each for n in range(3) for each in ("opened", str(n), "closed")]
    (report,) = verify([path], _key(tmp_path), None)
    assert (report.problem, report.lines) == (None, 9)


def test_lines_taken_away_while_nobody_writes_stay_missing(tmp_path: Path) -> None:
    path = tmp_path / "log" / "audit.jsonl"
    for _ in range(2):
        opened(tmp_path).close()
    path.write_text("\n".join(path.read_text().splitlines()[:3]) + "\n")
    opened(tmp_path).close()
    assert rows(path)[3]["missing_lines"] == 1
    (report,) = verify([path], _key(tmp_path), None)
    assert report.problem == "lines 4 to 4 are missing"
    path.unlink()
    opened(tmp_path).close()
    (report,) = verify([path], _key(tmp_path), None)
    assert (report.problem, report.first, report.last) == (None, 7, 8)


def test_a_chain_on_standard_output_goes_on_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        opened(tmp_path, sink="stdout").close()
    path = tmp_path / "collected"
    path.write_text(capsys.readouterr().out)
    (report,) = verify([path], _key(tmp_path), None)
    assert (report.problem, report.first, report.last) == (None, 1, 4)


def test_a_foreign_last_line_begins_another_chain_and_is_named(tmp_path: Path) -> None:
    trail = opened(tmp_path)
    trail.close()
    path = tmp_path / "log" / "audit.jsonl"
    path.write_text(path.read_text().replace("opened", "opener").replace("closed", "closes"))
    opened(tmp_path).close()
    assert rows(path)[2]["previous_line"] == "not of this chain"
    (report,) = verify([path], _key(tmp_path), None)
    assert report.place is not None
    assert report.place.line == 1


def test_workers_have_files_of_their_own(tmp_path: Path) -> None:
    for number in (1, 2):
        opened(tmp_path, f"worker-{number}").close()
    names = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert names == ["audit.worker-1.jsonl", "audit.worker-2.jsonl"]


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("short")
    with pytest.raises(OSError, match="fewer than 16 bytes"):
        opened(tmp_path, key=key)


def _key(folder: Path) -> bytes:
    return chain_key(AuditConfig(), folder / "state")
