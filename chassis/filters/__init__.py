"""Filters and orders of lists: AIP-160's `filter` and AIP-132's `order_by`, from text to conditions of SQL.

`parser.py` reads a filter into the nodes of `tree.py`, with the strings of `escapes.py`. `matches.py` says what a type
of field is: the operators that it takes, and the SQL of each comparison; `texts.py` and `scalars.py` have the types.
`selection.py` checks a tree against the fields of a list and splits it into a shape and values, so that a statement is
compiled once per shape. `ordering.py` reads an order and makes the condition for what comes after an item, and
`places.py` the page token of an item. `totals.py` counts. `query_text.py` has refusals that point into the text of a
caller, and `characters.py` how they show it. Not here: the fields of a list, and the statements with the conditions.
"""
