"""Routes: each parses, authorises and calls one service."""
