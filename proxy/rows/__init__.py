"""The rows package of the server."""
