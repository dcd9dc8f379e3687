"""Connectors: SQL text and parameters in, Arrow batches out. No cubes, no wire messages."""
