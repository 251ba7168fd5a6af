"""Phones over adb."""
