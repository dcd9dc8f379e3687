"""Who is asking: password verifiers, the SASL exchange, TLS and the throttle of wrong passwords.

Knows PostgreSQL's authentication messages and nothing of sessions, sockets or statements.
"""
