"""Every port without a server: for tests, and for whoever embeds Encola in one process."""
