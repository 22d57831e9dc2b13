"""The live screens of `gom`: `gom top` and `gom mon`. Only the modules that name textual need it."""
