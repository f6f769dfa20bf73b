"""The pair-drive command."""
