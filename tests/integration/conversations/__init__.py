"""One driver program for each language, which makes the calls of its library that a test asks for."""
