"""Arrow record batches to PostgreSQL rows, and bind parameters to values.

Faces: ``encoder.RowEncoder``, ``encoded.EncodedRows``, ``copying.CopyEncoder``,
``parameters.decode_parameter``, ``settings.TextSettings``, ``errors``. It knows values and bytes,
and nothing of sessions, warehouses or sockets.
"""
