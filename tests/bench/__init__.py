"""Measurements of the server beside PostgreSQL and its peers: ``python -m tests.bench``."""
