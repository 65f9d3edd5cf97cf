-- Instances that have waited, may go on, and wait for a slot of a workflow whose concurrency is limited.
CREATE INDEX instance_parked_again ON instance (workflow, no) WHERE status = 7 AND node IS NULL AND wake_at IS NULL;
