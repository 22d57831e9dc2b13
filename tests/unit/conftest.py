"""Settings of all unit tests."""

from hypothesis import settings

# How long an example takes says how busy the machine is.
settings.register_profile("gomd", deadline=None)
settings.load_profile("gomd")
