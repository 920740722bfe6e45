"""Every change of a library at run time, one module each, applied by one guard."""
