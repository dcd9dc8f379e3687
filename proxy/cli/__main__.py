"""``python -m proxy.cli``: the same as ``cubewire``; how the parent starts its workers."""

import sys

from proxy.cli import main

sys.exit(main())
