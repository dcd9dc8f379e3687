"""A program on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Self

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07|\x07")


class Terminal:
    """A program that believes it talks to a person."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"TERM": "dumb", "PAGER": "cat", "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
        )
        os.close(slave)
        self._unread = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def send(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, text: str, seconds: float = 60.0) -> str:
        """Read until this was shown; what was shown before it, without colours."""
        deadline = time.monotonic() + seconds
        while text not in self._unread:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"waited for {text!r}, have {self._unread!r}"
            data = b""
            with contextlib.suppress(OSError):
                data = os.read(self._master, 65536)
            assert data, f"the program ended; waited for {text!r}, have {self._unread!r}"
            if b"\x1b[6n" in data:
                # It asks where the cursor is.
                self.send("\x1b[1;1R")
            self._unread = _CONTROL.sub("", self._unread + data.decode(errors="replace"))
        before, self._unread = self._unread.split(text, 1)
        return before

    def exit_code(self, seconds: float = 60.0) -> int:
        """Wait for its end."""
        return self._process.wait(seconds)
