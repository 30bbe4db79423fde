"""Starts a stack's commands, records them, and ends them, also after a crash. Which commands is not known here.

`supervisor` owns the processes, `watchdog` ends them when the supervisor is killed, `record` says what runs in a
folder.
"""
