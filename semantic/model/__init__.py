"""The model: YAML files parsed, validated, frozen and indexed."""
