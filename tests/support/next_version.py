"""``cubewire`` as a later version may be: what it puts into a shared Redis has another form."""

from __future__ import annotations

import sys

from proxy.cache import keys, stored
from proxy.cli import main
from proxy.hosts import shared

if __name__ == "__main__":
    keys.VERSION = b"next"
    stored.MAGIC = b"NEXT"
    shared.FORMAT = b"next"
    sys.exit(main())
