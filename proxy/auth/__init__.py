"""The auth package of the server."""
