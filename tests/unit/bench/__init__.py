"""Tests of the benchmarks themselves: what they tell, not how fast anything is."""
