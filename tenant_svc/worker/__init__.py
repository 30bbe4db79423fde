"""The process that works on jobs: work that takes longer than a call, taken from the queue and done once.

Not here: the work of a job, which is in its capability (such as `tenant_svc.plan_changes.jobs`), and putting jobs into
the queue (`chassis.jobs.enqueue`).
"""
