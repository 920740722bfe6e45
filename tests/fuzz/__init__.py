"""Fuzzing of what reads strangers' bytes: `make fuzz SECONDS=60`.

Every input follows from a seed and a number, so a finding is its own reproduction. Inputs are worked through in a
child process: a crash or a hang in a decoder ends the child and is told like any other finding.
"""
