"""The gom command: every verb of the telnet line for a shell, on libgomd alone."""
