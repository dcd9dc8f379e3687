"""The session package of the server."""
