"""PostgreSQL's meaning of expressions, in DuckDB's SQL."""
