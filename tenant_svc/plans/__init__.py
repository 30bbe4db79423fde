"""Plans and features: what can be bought."""
