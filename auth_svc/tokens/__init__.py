"""Access tokens: the keys that sign them, their issue, and their verification for those who can't."""
