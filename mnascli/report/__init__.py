"""The results of a run, for others to read: a page, a text, and figures. Only reads the run directory."""
