"""The process that works on jobs: what takes longer than a call, taken from the queue and done once.

Not here: what a job does, which is its capability's (such as `tenant_svc.plan_changes.jobs`), and putting jobs into the
queue (`chassis.jobs.enqueue`).
"""
