"""The terminal view of a run. It reads run directories and writes nothing, so that ending it never touches a search."""
