"""The audit trail: who logged in, asked what, was refused, acted for whom; never what they saw.

One JSON line an event. Lines hold names and numbers alone: no row values, parameters or passwords,
and a statement's text only where the configuration asks for it.
"""
