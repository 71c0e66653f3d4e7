"""What time demands and no message triggers: a process of its own."""
