"""libgomd without a network: transports in memory, a clock that the tests turn."""
