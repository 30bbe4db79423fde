"""The catalog's log: the changes of features and plans, for every tenant at once."""
