"""Devices that run .tflite files: which exist, opening one, measuring on it."""
