"""The logins that this server itself knows: those of the configuration and of the users file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.auth.grants import NOTHING, Grants
from proxy.auth.users_file import UsersFile, UsersFileError
from proxy.auth.verifier import MINIMUM_ITERATIONS, SALT_BYTES, Verifier

logger = logging.getLogger("cubewire.users")


@dataclass(frozen=True, slots=True)
class KnownUser:
    """One login.

    Attributes:
        verifier: of the password; None for a user who proves an identity in other ways.
        grants: what this server says of the user, however the identity is proved.
    """

    verifier: Verifier | None = None
    grants: Grants = NOTHING


class Users:
    """All of them, by name, as the file had them when it was last looked at (``refresh``)."""

    def __init__(
        self,
        configured: Mapping[str, KnownUser],
        file: UsersFile | None = None,
        longest_iterations: int | None = None,
    ) -> None:
        """Read the file.

        Args:
            configured: of the configuration.
            file: the users file; one that does not exist has no users.
            longest_iterations: what a verifier may cost where passwords come in the clear.

        Raises:
            UsersFileError: it cannot be used.
        """
        self._configured = dict(configured)
        self._file = file
        self._longest = longest_iterations
        self._reading = asyncio.Lock()
        self._signature: object = None
        self._users = self._configured
        if file is not None:
            self._signature = file.signature()
            self._users = self._read(file)
        self.shapes = _shapes(self._users)

    def get(self, name: str) -> KnownUser | None:
        """The login of this name."""
        return self._users.get(name)

    async def refresh(self) -> None:
        """Read the file again if it has changed.

        One that cannot be read changes nothing but the log: the users of the last good one stay.
        """
        file = self._file
        if file is None or file.signature() == self._signature:
            return
        async with self._reading:
            signature = file.signature()
            if signature == self._signature:
                return
            self._signature = signature
            try:
                self._users = await asyncio.to_thread(self._read, file)
            except UsersFileError as error:
                logger.error(  # noqa: TRY400 - the file is at fault, not this code
                    "users file not taken over", extra={"fields": {"problem": str(error)}}
                )
                return
            self.shapes = _shapes(self._users)
            logger.info("users file read", extra={"fields": {"users": len(self._users)}})

    def _read(self, file: UsersFile) -> dict[str, KnownUser]:
        listed = file.read()
        doubles = sorted(set(listed) & set(self._configured))
        if doubles:
            raise UsersFileError(f"{file.path}: {doubles[0]} stands in auth.users too")
        for name, entry in listed.items():
            iterations = entry.verifier.iterations if entry.verifier is not None else 0
            if self._longest is not None and iterations > self._longest:
                raise UsersFileError(
                    f"{file.path}: the verifier of {name} has {iterations} iterations; where "
                    f"passwords come in the clear at most {self._longest} are accepted"
                )
        known = {name: KnownUser(entry.verifier, entry.grants) for name, entry in listed.items()}
        return {**self._configured, **known}


def _shapes(users: Mapping[str, KnownUser]) -> tuple[tuple[int, int], ...]:
    """Iterations and salt length of the verifiers, as often as they occur, for made-up ones."""
    shapes = sorted(
        (each.verifier.iterations, len(each.verifier.salt))
        for each in users.values()
        if each.verifier is not None
    )
    # A server without users must still answer as any other.
    return tuple(shapes) or ((MINIMUM_ITERATIONS, SALT_BYTES),)
