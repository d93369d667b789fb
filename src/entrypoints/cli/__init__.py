"""The encola command."""
