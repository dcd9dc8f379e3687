"""Who is asking: rules, the methods that prove an identity, TLS, and the throttle of wrong proofs.

Knows PostgreSQL's authentication messages and nothing of sessions or statements.
"""
