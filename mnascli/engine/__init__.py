"""The search loop and what it drives: measuring, training, choosing, exporting."""
