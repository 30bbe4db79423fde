"""What the mesh costs, as ratios to a bare server measured in alternating pairs in one run. `make bench` runs it.

Nothing here is a test: these machines are shared, so that a figure is a ratio or it is noise.
"""
