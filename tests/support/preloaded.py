"""A process that has loaded Cubewire and forks servers, as loading takes longer than starting.

Python's ``multiprocessing`` has such a server too, but hands on neither standard output nor an
environment. What is forked is ``cubewire`` with the arguments given, in a process of its own.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress

REQUEST_BYTES = 1 << 18
LOADED = ("proxy.cli.serve", "proxy.cli.worker")


class Nursery:
    """Forks a server per request, and tells by a pipe how each ended."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._ended: dict[int, int] = {}
        """The pipe for the exit code, by process."""

    def run(self) -> None:
        """Until whoever asks has gone."""
        waking, woken = socket.socketpair()
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(self._requests, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is waking:
                    waking.recv(4096)
                    self._reap()
                elif not self._answer():
                    return

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pipe = self._ended.pop(found[0])
                with suppress(BrokenPipeError):
                    os.write(pipe, str(os.waitstatus_to_exitcode(found[1])).encode())
                os.close(pipe)

    def _answer(self) -> bool:
        data, handles, _, _ = socket.recv_fds(self._requests, REQUEST_BYTES, 3)
        if not data:
            return False
        request = json.loads(data)
        process = os.fork()
        if process == 0:
            _become(handles, request["arguments"], request["environment"], request["folder"])
        self._ended[process] = handles.pop()
        for handle in handles:
            os.close(handle)
        self._requests.send(str(process).encode())
        return True


def _become(
    handles: Sequence[int], arguments: Sequence[str], environment: Mapping[str, str], folder: str
) -> None:
    """Be the server, in the forked process. Does not return."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(handles[0], 1)
        os.dup2(handles[1], 2)
        os.closerange(3, max(int(name) for name in os.listdir("/proc/self/fd")) + 1)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        os.chdir(folder)
        sys.argv = list(arguments)
        gc.enable()
        code = importlib.import_module("proxy.cli").main(arguments[1:])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    gc.disable()
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    Nursery(socket.socket(fileno=0)).run()
    os._exit(0)  # DuckDB's module would complain of its own constants


if __name__ == "__main__":
    main()
