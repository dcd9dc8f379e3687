"""What the configuration of logins names and cannot be used, found when the server starts."""

from __future__ import annotations


class SetupError(ValueError):
    """A file, key, function or package that logins need; the message is for the operator."""
