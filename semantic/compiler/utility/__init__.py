"""Our own grammar of the statements that are not queries: transactions, settings, cursors, COPY."""
