"""Whether a statement that is prepared anew still returns what it was prepared to return.

PostgreSQL's words for it are kept: "cached plan must not change result type".
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import SessionError
from proxy.queries import CatalogQuery, CubeQuery
from proxy.session.prepared import PreparedStatement
from proxy.wire.backend import FieldDescription


def check_same(old: PreparedStatement, new: PreparedStatement) -> None:
    """Raises 0A000 where a statement's parameters or columns are others now."""
    if _shape(old) != _shape(new) or old.parameter_oids != new.parameter_oids:
        raise _changed()


def unchanged(old: CubeQuery, new: CubeQuery | CatalogQuery) -> CubeQuery:
    """The new query, where it still fits: the settings or the model are others. Raises 0A000."""
    if not isinstance(new, CubeQuery) or _columns(old.fields) != _columns(new.fields):
        raise _changed()
    return new


def _changed() -> SessionError:
    return SessionError("0A000", "cached plan must not change result type")


def _shape(prepared: PreparedStatement) -> list[tuple[str, int]] | None:
    return None if prepared.fields is None else _columns(prepared.fields)


def _columns(fields: Sequence[FieldDescription]) -> list[tuple[str, int]]:
    return [(field.name, field.type_oid) for field in fields]
