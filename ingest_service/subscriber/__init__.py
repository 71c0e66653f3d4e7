"""From the broker to admission and back: receipts, then acknowledgements."""
