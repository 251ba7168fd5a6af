"""Devices that run .tflite files: what there is, opening one, measuring on it."""
