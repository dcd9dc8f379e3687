"""The catalog package of the server."""
