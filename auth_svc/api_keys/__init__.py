"""System keys: the API keys of operators and services."""
