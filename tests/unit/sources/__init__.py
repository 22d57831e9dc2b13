"""Tests of gomd.sources, and in `contract` what every source promises."""
