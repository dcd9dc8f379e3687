"""Heavy clients in a process of their own.

``python -m tests.bench.load HOST PORT USER DATABASE CONNECTIONS SQL`` runs until it is killed, or
until whoever started it has gone.
"""

from __future__ import annotations

import os
import sys
import threading

from tests.bench import client


def main() -> None:
    host, port, user, database, connections, sql = sys.argv[1:]

    def work() -> None:
        connection = client.BlockingClient(host, int(port), user, database)
        try:
            while True:
                connection.stream(client.simple(sql))
        except (client.ReplyError, OSError) as error:
            print(f"load: {error}", file=sys.stderr)
            os._exit(1)

    for _ in range(int(connections)):
        threading.Thread(target=work, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
