"""Who may see what: conditions, visibility, profiles."""
