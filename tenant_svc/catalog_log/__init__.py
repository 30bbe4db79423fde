"""The catalog's log: which features and plans changed, for every tenant at once."""
