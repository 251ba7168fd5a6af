"""The terminal view of a run. It only reads run directories, so that ending it never affects a search."""
