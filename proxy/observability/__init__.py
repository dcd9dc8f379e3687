"""What the server tells its operator: log lines and metrics.

Knows no sessions and no messages: it is handed plain values.
"""
