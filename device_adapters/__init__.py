"""Pure codecs and conversations for home measuring devices; `contract` is what all sides share."""
