-- Instances that have waited, may go on, and wait for a slot of a workflow whose concurrency is limited.
CREATE INDEX instance_parked_again ON instance (workflow, no) WHERE status = 7 AND node IS NULL AND wake_at IS NULL;

-- How many instances that have not ended need a pin: versions that nobody needs can go.
ALTER TABLE pin ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
CREATE TEMP TABLE pin_live AS SELECT pin, count(*) AS n FROM instance WHERE status NOT BETWEEN 3 AND 5 GROUP BY pin;
UPDATE pin SET live = coalesce((SELECT n FROM pin_live WHERE pin_live.pin = pin.no), 0);
DROP TABLE pin_live;
