"""Connectors: SQL text and parameters in, Arrow batches out. They know no cubes and no wire messages."""
