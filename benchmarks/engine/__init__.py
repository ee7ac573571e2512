"""Engine commands with a stopwatch: a rollback, and an update with nothing to do."""
