"""What a person does from the command line; ``ingest_service.command`` puts it together."""
