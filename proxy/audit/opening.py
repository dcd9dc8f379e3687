"""Opens the trail that the configuration asks for."""

from __future__ import annotations

import hmac
import time
from pathlib import Path
from typing import TextIO

from proxy.audit.chain import Chain, Item
from proxy.audit.files import FileLimits, FileSink
from proxy.audit.head import Head, HeadFile, head_path
from proxy.audit.sinks import Sink, StdoutSink
from proxy.audit.syslog import SyslogAddress, SyslogSink
from proxy.audit.trail import AuditTrail
from proxy.audit.writer import AuditWriter
from proxy.auth.secret import login_secret
from proxy.config.audit import AuditConfig

SHORTEST_KEY = 16


def chain_key(config: AuditConfig, state_directory: Path) -> bytes:
    """What chains are made with: the configured file's bytes, else derived from the login secret.

    Raises OSError where the file cannot be read or is too short.
    """
    if config.key is None:
        return hmac.digest(login_secret(state_directory), b"audit chain", "sha256")
    key = config.key.read_bytes().strip()
    if len(key) < SHORTEST_KEY:
        raise OSError(f"{config.key} holds fewer than {SHORTEST_KEY} bytes")
    return key


def trail_file(config: AuditConfig, source: str, *, several: bool) -> Path:
    """The file of one process: ``audit.jsonl``, or ``audit.worker-1.jsonl`` where several write."""
    if not several:
        return config.file
    return config.file.with_name(f"{config.file.stem}.{source}{config.file.suffix}")


def open_trail(
    config: AuditConfig,
    state_directory: Path,
    source: str,
    *,
    several: bool,
    stdout: TextIO | None = None,
) -> AuditTrail:
    """The trail of one process.

    Args:
        config: the audit section.
        state_directory: where keys and heads are kept.
        source: names the process and so its chain.
        several: whether others write trails of the same configuration, so that files are by source.
        stdout: what stands for standard output, where that is another's.

    Raises:
        OSError: the sink cannot be opened.
    """
    if config.sink == "off":
        return AuditTrail()
    sink, notes = _open_sink(config, trail_file(config, source, several=several), stdout)
    chain = Chain(chain_key(config, state_directory) if config.chain else None)
    head = HeadFile(head_path(state_directory, source)) if config.chain else None
    _resume(chain, sink.last_line(), None if head is None else head.read(), notes)
    writer = AuditWriter(sink, chain, capacity=config.queue_lines, source=source, head=head)
    trail = AuditTrail(writer, required=config.required, with_sql=config.sql)
    trail.opened(notes)
    return trail


def _resume(chain: Chain, last: str | None, head: Head | None, notes: dict[str, Item]) -> None:
    """Go on where the trail has come to, by its last line or its head: whichever is further.

    So lines that were taken away while nobody wrote leave a gap, which stays to be seen.
    """
    if last is not None and not chain.resume(last):
        notes["previous_line"] = "not of this chain"
    if head is not None and head.sequence > chain.sequence:
        if last is not None:
            notes["missing_lines"] = head.sequence - chain.sequence
        chain.sequence, chain.previous = head.sequence, head.mac


def _open_sink(
    config: AuditConfig, file: Path, stdout: TextIO | None
) -> tuple[Sink, dict[str, Item]]:
    if config.sink == "stdout":
        return StdoutSink(stdout), {}
    if config.sink == "syslog":
        address = SyslogAddress.parse(config.syslog)
        return SyslogSink(address, config.syslog_facility, time.time), {}
    limits = FileLimits(config.max_bytes, config.max_age, config.keep, config.fsync)
    file.parent.mkdir(parents=True, exist_ok=True)
    opened = FileSink(file, limits)
    return opened, {"torn_bytes": opened.torn_bytes or None}
