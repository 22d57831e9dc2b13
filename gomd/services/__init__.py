"""The services that run periodically, and the threads they run on."""
