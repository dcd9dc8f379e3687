"""Plans that no single warehouse computes, taken apart into what several compute and the stage.

The *stage* is DuckDB in our own process, whose translation of PostgreSQL's meaning is complete. A
plan is split where its warehouse has no exact form of it, or where it reads several warehouses.
The largest parts that one warehouse computes exactly become *fetches*, each one statement; the
rest of the plan reads the tables that they fill. The rows of a cube are fetched by its ``Scan``,
whole: policies are applied where the rows are, and nothing that they hide ever leaves there.
"""

from __future__ import annotations

from semantic.compiler.staging.closure import data_sources
from semantic.compiler.staging.staged import Staged, check_portable, stage
from semantic.compiler.staging.warehouses import COMPLETE, LATE, STAGE, Warehouses

__all__ = [
    "COMPLETE",
    "LATE",
    "STAGE",
    "Staged",
    "Warehouses",
    "check_portable",
    "data_sources",
    "stage",
]
