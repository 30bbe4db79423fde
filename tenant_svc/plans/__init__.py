"""Plans: versions of what can be bought."""
