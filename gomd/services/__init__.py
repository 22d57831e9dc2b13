"""What runs by the clock, and the threads it runs on."""
