"""The catalog PostgreSQL: shows the model to clients and types their statements."""

from proxy.catalog.catalog import Catalog
from proxy.catalog.errors import CatalogError
from proxy.catalog.options import CatalogOptions

__all__ = ["Catalog", "CatalogError", "CatalogOptions"]
