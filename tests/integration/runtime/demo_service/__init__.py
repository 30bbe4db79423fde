"""A service of nobody's: two tables, one migration, one process. The tests of runtime run it."""
