"""The wire package of the server."""
