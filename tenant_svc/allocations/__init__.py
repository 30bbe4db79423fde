"""Allocations: reserving allowances whose final cost is known only later."""
