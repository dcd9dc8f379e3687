"""What stands between the engine and the connectors: turns, limits, health and second tries."""
