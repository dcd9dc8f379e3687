"""PostgreSQL's frontend/backend protocol as pure values: bytes in, messages out, and back.

Nothing here reads a socket, a clock or the environment; who awaits bytes lives elsewhere.
"""
