"""Fuzzing of the code that reads untrusted data: `make fuzz SECONDS=60`.

Every input is computed from a seed and a number, so each finding can be reproduced. A child process reads the inputs:
a crash or a hang in a decoder ends the child and is reported like any other finding.
"""
