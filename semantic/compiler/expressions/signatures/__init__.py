"""The functions that a query over cubes may call, with PostgreSQL's signatures (rule G4)."""
