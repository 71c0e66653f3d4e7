"""Words for people, by language: gettext catalogues that pages and messages share."""
