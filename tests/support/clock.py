"""The clock of the day of another process, set by a test while that runs.

libfaketime would do, were it not that its sleeps fail once the monotonic clock is left alone.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_shim.c")
COMPILER = shutil.which("cc")


@dataclass(frozen=True, slots=True)
class ClockOfTheDay:
    """Seconds by which processes in ``environment`` see another time of day than it is."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> ClockOfTheDay:
        """Right at first. The compiler has to be there."""
        made = cls(folder)
        made.set(0)
        assert COMPILER is not None
        command = [COMPILER, "-shared", "-fPIC", "-O2", "-o", str(made._library), str(SOURCE)]
        subprocess.run(command, check=True, timeout=60)
        return made

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that is to see it."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET": str(self._file)}

    def set(self, offset: float) -> None:
        """Set it, at once and while processes run."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", int(offset)))

    def show(self, moment: float) -> None:
        """Set it to about these unix seconds."""
        self.set(moment - time.time())

    @property
    def _library(self) -> Path:
        return self.folder / "clock.so"

    @property
    def _file(self) -> Path:
        return self.folder / "offset"
