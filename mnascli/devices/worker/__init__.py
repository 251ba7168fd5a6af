"""The process that runs models with ai-edge-litert, here or on a board."""
