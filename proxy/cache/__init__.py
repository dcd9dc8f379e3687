"""The result cache: rows of statements that were asked before, in this process and in Redis.

It knows SQL text, typed values and encoded rows; no sessions, messages or clients.
"""
