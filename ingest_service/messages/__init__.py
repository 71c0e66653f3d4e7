"""What the platform wants said to whom; pure. How it is said where: `ingest_service.notifying`."""
