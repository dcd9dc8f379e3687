"""The captured clients' tables as a published model, and others for the tests."""

from __future__ import annotations

from semantic.model.published import (
    ColumnKind,
    PublishedColumn,
    PublishedForeignKey,
    PublishedModel,
    PublishedRelation,
)
from semantic.model.types import (
    BOOL,
    DATE,
    FLOAT8,
    INT4,
    INT8,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    PostgresType,
)

NUMERIC_12_2 = PostgresType("numeric", ((12 << 16) | 2) + 4)
VARCHAR_2 = PostgresType("varchar", 2 + 4)


def column(
    name: str, kind: PostgresType, comment: str | None = None, role: ColumnKind = "dimension"
) -> PublishedColumn:
    return PublishedColumn(name, kind, role, comment)


CUSTOMERS = PublishedRelation(
    "customers",
    "cube",
    (
        column("id", INT4),
        column("name", TEXT),
        column("country", VARCHAR_2, "ISO country"),
        column("created_at", TIMESTAMPTZ),
        column("vip", BOOL),
    ),
    primary_key=("id",),
    comment="Customers dimension",
)

ORDER_COLUMNS = (
    column("id", INT8),
    column("customer_id", INT4),
    column("status", TEXT),
    column("amount", NUMERIC_12_2, "measure: total amount", "measure"),
    column("qty", INT4),
    column("ordered_at", TIMESTAMP),
    column("ship_date", DATE),
    column("rating", FLOAT8),
)

ORDERS = PublishedRelation(
    "orders",
    "cube",
    ORDER_COLUMNS,
    primary_key=("id",),
    foreign_keys=(
        PublishedForeignKey("orders_customer_id_fkey", ("customer_id",), "customers", ("id",)),
    ),
    comment="Orders cube",
)

V_ORDERS = PublishedRelation("v_orders", "view", (*ORDER_COLUMNS, column("country", VARCHAR_2)))

SHOP = PublishedModel("shop-1", (CUSTOMERS, ORDERS, V_ORDERS))


def wide_model(cubes: int, columns: int) -> PublishedModel:
    """Many wide cubes, each with a comment per column and a foreign key to the one before."""
    kinds = (INT8, TEXT, NUMERIC_12_2, TIMESTAMPTZ, BOOL, DATE, FLOAT8)
    relations = []
    for number in range(cubes):
        members = [column("id", INT8, "the key"), column("parent_id", INT8, "the parent")]
        members += [
            column(f"member_{place}", kinds[place % len(kinds)], f"member {place} of {number}")
            for place in range(columns - 2)
        ]
        parent = f"cube_{number - 1}"
        keys = (PublishedForeignKey(f"cube_{number}_parent", ("parent_id",), parent, ("id",)),)
        relations.append(
            PublishedRelation(
                f"cube_{number}",
                "cube",
                tuple(members),
                primary_key=("id",),
                foreign_keys=keys if number else (),
                comment=f"Cube {number}",
            )
        )
    return PublishedModel(f"wide-{cubes}x{columns}", tuple(relations))
