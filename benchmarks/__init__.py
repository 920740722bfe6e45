"""Benchmarks: run time, CPU, memory and requests of imgrelay. `make bench`, or `python -m benchmarks --help`."""
