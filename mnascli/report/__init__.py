"""What came out of a run, for others to read: a page, a text, and figures. Reads the run directory alone."""
