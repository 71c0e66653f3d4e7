"""Pages: from rows to words, pictures and HTML; nothing here touches the database."""
