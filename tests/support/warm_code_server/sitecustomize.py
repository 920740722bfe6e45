"""Read by every Python that has this folder in PYTHONPATH: in a code server, runs are forked from a warm server."""

import sys

if "grpc" in sys.orig_argv:
    import importlib.util
    from pathlib import Path

    _spec = importlib.util.spec_from_file_location("warm_start", Path(__file__).parent.parent / "warm_start.py")
    assert _spec is not None
    assert _spec.loader is not None
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["warm_start"] = _module
    _spec.loader.exec_module(_module)
    _module.use_for_spawns()
