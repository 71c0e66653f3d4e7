"""What a gateway is installed from: its service, its Debian package, its releases."""
