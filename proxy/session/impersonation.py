"""On whose behalf a session acts: SET ROLE, SET SESSION AUTHORIZATION and Cube's ``__user``.

The settings ``role`` and ``session_authorization`` say it, so that transactions, SET LOCAL and
RESET do with it what they do with every setting. What they say is followed before anything is
prepared or run: the session then has that user's policies, and what was opened for another ends.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.audit.trail import AuditTrail
from proxy.auth.contexts import ContextProvider
from proxy.errors import SessionError, Severity
from proxy.queries import Caller
from proxy.session.settings import NO_ROLE
from proxy.session.state import SessionState
from semantic.security.context import SecurityContext

ANYBODY = "*"
"""In ``act_as``: all users."""

_COMMANDS = {"role": "SET ROLE", "session_authorization": "SET SESSION AUTHORIZATION"}
_RESETS = {"role": "RESET ROLE", "session_authorization": "RESET SESSION AUTHORIZATION"}
_DENIED = {"role": "set role", "session_authorization": "set session authorization"}


class Impersonation:
    """Whom one session acts for.

    Its login may act for the users in ``act_as`` and for itself. What is granted is looked up anew
    each time, so that who is removed, or changes groups, is so at the next statement.
    """

    def __init__(self, state: SessionState, contexts: ContextProvider, trail: AuditTrail) -> None:
        self._state = state
        self._login = state.security
        self._contexts = contexts
        self._trail = trail

    async def begin(self) -> None:
        """Take on the role that the startup packet asks for. Raises SessionError FATAL."""
        role = self._state.settings.startup.get("role")
        if role is None or role == NO_ROLE:
            return
        context = self._permitted("role", role, severity="FATAL")
        await self._assume(context, _COMMANDS["role"])

    async def set(self, name: str, value: str, *, local: bool) -> None:
        """SET [LOCAL] ROLE or SESSION AUTHORIZATION.

        Raises 42501 where it is not granted, 22023 for nobody, 55000 over temporary tables.
        """
        settings = self._state.settings
        if name == "role" and value == NO_ROLE:
            context = self._context(self._session_user())
        else:
            context = self._permitted(name, value)
        await self._assume(context, _COMMANDS[name])
        settings.set(name, value, local=local)
        if name == "session_authorization":
            settings.set("role", NO_ROLE, local=local)

    async def reset(self, name: str) -> None:
        """RESET ROLE or SESSION AUTHORIZATION: as the session began.

        Raises 55000 over temporary tables.
        """
        settings = self._state.settings
        began = settings.startup.get("role", NO_ROLE)
        user = self._login.user if name == "session_authorization" else self._session_user()
        context = self._context(user if began == NO_ROLE else began)
        await self._assume(context, _RESETS[name])
        settings.reset(name)
        if name == "session_authorization":
            settings.reset("role")

    async def follow(self) -> None:
        """Act for whom the settings say by now; the end of a transaction may have changed that.

        Raises SessionError FATAL where there is no such user any more.
        """
        state = self._state
        user = self._user()
        if user == self._login.user == state.security.user:
            return
        context = self._find(user)
        if context is None:
            raise SessionError("28000", f'role "{user}" does not exist', severity="FATAL")
        if context != state.security:
            self._record("end of transaction", context.user)
            await state.return_to(context)

    async def caller_for(self, user: str, position: int | None = None) -> Caller:
        """The caller of one statement that says ``__user``. Raises as ``set``."""
        context = self._permitted("role", user, command="__user", position=position)
        return await self._state.caller_for(context)

    def ran_for(self, user: str) -> None:
        """A statement that says ``__user`` is being run."""
        self._record("__user", user)

    # ------------------------------------------------------------------------- who

    def _session_user(self) -> str:
        return self._state.settings.get("session_authorization") or self._login.user

    def _user(self) -> str:
        role = self._state.settings.get("role")
        return self._session_user() if role is None or role == NO_ROLE else role

    def _permitted(
        self,
        name: str,
        user: str,
        *,
        command: str | None = None,
        position: int | None = None,
        severity: Severity = "ERROR",
    ) -> SecurityContext:
        own = (self._login.user, self._session_user())
        granted = self._login.act_as
        context = self._find(user)
        if user not in own and user not in granted and ANYBODY not in granted:
            sqlstate, message = "42501", f'permission denied to {_DENIED[name]} "{user}"'
        elif context is None:
            sqlstate, message = "22023", f'role "{user}" does not exist'
        else:
            return context
        self._record(command or _COMMANDS[name], user, sqlstate)
        raise SessionError(sqlstate, message, position=position, severity=severity)

    def _context(self, user: str) -> SecurityContext:
        context = self._find(user)
        if context is None:
            raise SessionError("22023", f'role "{user}" does not exist')
        return context

    def _find(self, user: str) -> SecurityContext | None:
        """A user as the login acts for them; None for nobody."""
        login = self._login
        if user == login.user:
            return login
        found = self._contexts.context_of(user)
        if found is None:
            return None
        return replace(
            found,
            login=login.login,
            act_as=login.act_as,
            address=login.address,
            application=login.application,
            method=login.method,
            expires=login.expires,
        )

    async def _assume(self, context: SecurityContext, command: str) -> None:
        before = self._state.security
        await self._state.assume(context)
        self._record(command, context.user, before=before)

    def _record(
        self,
        command: str,
        target: str,
        sqlstate: str = "00000",
        before: SecurityContext | None = None,
    ) -> None:
        state = self._state
        self._trail.impersonation(
            command, before or state.security, state.process_id, target, sqlstate
        )
