"""What the processes of several hosts tell each other through the Redis that they share.

Each posts the rows of its system tables while somebody looks at them, and takes orders to end a
statement or a session. Nothing that is served depends on it: without Redis each host is alone.
"""
