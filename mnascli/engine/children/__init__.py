"""Child processes: what an executor is, where a child runs, what it does."""
