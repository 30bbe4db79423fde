"""Allocations: reserving allowances before the final cost is known."""
