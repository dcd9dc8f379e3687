"""Replacing the model of a running server."""
