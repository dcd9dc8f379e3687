"""Arrow without pandas.

Where pandas is installed, Arrow imports it when it is first given Python values, to see whether
they are of its kinds: the first statement that needs this would wait for a second, and every
process would be some 50 MB larger. None of our values are. What asks Arrow for pandas by name gets
it all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

PANDAS = "pandas"


class NoPandas:
    """A finder of modules that knows of one that it cannot be had."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As ``importlib.abc.MetaPathFinder``. Raises ModuleNotFoundError for pandas."""
        if name == PANDAS:
            raise ModuleNotFoundError(name)
        return None


def leave_pandas_out() -> None:
    """Let Arrow look for pandas now, and not find it. To be called before there are threads."""
    arrow = sys.modules.get("pyarrow")
    if arrow is None or PANDAS in sys.modules:
        return
    finder = NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        arrow.array([])
    finally:
        sys.meta_path.remove(finder)
