"""The server: wire protocol, rows, catalog, sessions and the engine that joins them."""
