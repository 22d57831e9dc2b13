"""What the stock kernel's /proc says: reading apart from parsing, one subject a file."""
