"""Bluetooth SIG health services: one characteristic's codec a function, one service a module."""
