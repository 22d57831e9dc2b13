"""Where samples are kept: each module is one ISampleLog."""
