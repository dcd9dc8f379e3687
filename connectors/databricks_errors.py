"""Errors of Databricks' connector as WarehouseErrors: those of statements are Spark's."""

from __future__ import annotations

from databricks.sql import exc

from connectors import spark_errors
from connectors.errors import WarehouseError

_REFUSED = (401, 403)


def warehouse_error(error: Exception) -> WarehouseError:
    """The WarehouseError for whatever the driver raised."""
    if isinstance(error, exc.RequestError):
        if (error.context or {}).get("http-code") in _REFUSED:
            return WarehouseError("28000", "Databricks refuses the credentials", reached=False)
        return WarehouseError("08006", "the data source cannot be reached", detail=str(error))
    return spark_errors.warehouse_error(error)
