"""SQL Server's errors as WarehouseErrors, by its own numbers."""

from __future__ import annotations

import OpenSSL.SSL
import pytds

from connectors.errors import WarehouseError

_STATES = {
    **dict.fromkeys((102, 105, 156, 170, 319), "42601"),
    **dict.fromkeys((130, 144, 164, 8120, 8121), "42803"),
    **dict.fromkeys((195, 2812, 4121), "42883"),
    **dict.fromkeys((206, 257, 402, 529, 8117), "42804"),
    **dict.fromkeys((220, 232, 248, 8115), "22003"),
    **dict.fromkeys((229, 230, 262, 297, 300, 371, 916), "42501"),
    **dict.fromkeys((241, 242, 295), "22007"),
    **dict.fromkeys((245, 8114), "22P02"),
    **dict.fromkeys((517, 9810), "22008"),
    **dict.fromkeys((701, 802, 8645, 8651), "53200"),
    **dict.fromkeys((596, 6005, 6006), "57P01"),
    **dict.fromkeys((10928, 10929, 17809, 40501, 49918, 49919, 49920), "53300"),
    **dict.fromkeys((18401, 40197, 40613), "57P03"),
    **dict.fromkeys((18450, 18452, 18456, 18486, 18487, 18488), "28000"),
    207: "42703",
    208: "42P01",
    209: "42702",
    468: "42P21",
    512: "21000",
    1105: "53100",
    1204: "53200",
    1205: "40P01",
    1222: "55P03",
    3960: "40001",
    4060: "3D000",
    8134: "22012",
    8623: "54001",
}
_UNSENT = frozenset(("28000", "3D000", "53300", "57P03"))


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever the driver raised."""
    if isinstance(error, TimeoutError) and isinstance(error.__cause__, pytds.Error):
        # What it had tried to log in again for.
        error = error.__cause__
    text = str(error).partition("\n")[0] or type(error).__name__
    number = getattr(error, "msg_no", 0)
    if number:
        code = _STATES.get(number, "XX000")
        return WarehouseError(code, text, reached=code not in _UNSENT)
    if isinstance(error, pytds.LoginError):
        return WarehouseError("28000", text, reached=False)
    if isinstance(error, pytds.ClosedConnectionError):
        return WarehouseError("08006", "the data source has closed the connection")
    if isinstance(error, OSError | OpenSSL.SSL.Error):
        return WarehouseError(
            "08006", "the data source cannot be reached", detail=text, reached=False
        )
    return WarehouseError("XX000", text)
