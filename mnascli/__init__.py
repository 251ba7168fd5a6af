"""mnas: find the convolutional network that fits your device and your pictures."""

__version__ = "0.1.0"
