"""Event logs: reads events in commit order from any position on, for streams and for consumers inside the service.

`log.py` is the port of a log, `tail.py` caches its newest events, `watch.py` makes streams and resumes them, and
`streaming.py` turns them into messages. `cursor_text.py` encodes the position in which a stream resumes. `follower.py`
handles each event once, with a stored cursor. `retention.py` prunes old events, and `feed.py` puts tail, watch and
retention together. Not here: the content of events, and the SQL that reads them.
"""
