"""Pre-aggregations as stored data: built, refreshed and shown to the engine as a snapshot."""
