"""Following a log of events from any point on: what the tenants' log and the entitlements' log have in common.

`log.py` is what a log must keep to, `tail.py` its newest part in memory, `watch.py` the streams, `cursors.py` where
they resume, `retention.py` forgetting what is old. Not here: what the events say and the SQL that reads them.
"""
