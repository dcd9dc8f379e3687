"""The server's own tables, ``cubewire.sessions`` and the like: their rows, here and elsewhere.

The catalog shows them (``proxy.catalog.system_tables``); here is what stands in them.
"""
