"""Architectures and files to milliseconds."""
