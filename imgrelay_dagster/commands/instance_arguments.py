"""The arguments of the commands that set up and serve a Dagster instance."""

import argparse


def add_instance_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands `init`, `dev` and `metrics`."""
    init = commands.add_parser(
        "init",
        help="set up a folder for Dagster",
        description="Set up a folder: dagster.yaml and workspace.yaml for one machine, and a folder templates with the "
        "templates of the package. Files that exist already are kept.",
        epilog="Exit codes: 0 success, 2 the folder cannot be written.",
    )
    init.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="default: the working folder")
    dev = commands.add_parser(
        "dev",
        help="start the Dagster UI and its daemon",
        description="Start the Dagster UI and its daemon for this Dagster instance (DAGSTER_HOME, else the working "
        "folder if it holds a dagster.yaml). Ctrl-C stops both.",
    )
    dev.add_argument("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    dev.add_argument("--port", type=int, default=3000, help="port of the UI; default: 3000")
    metrics = commands.add_parser(
        "metrics",
        help="show metrics to Prometheus",
        description="Serve the metrics of this Dagster instance (DAGSTER_HOME) to Prometheus, push them to a gateway, "
        "or print them once.",
        epilog="Exit codes: 0 success, 2 the instance cannot be used, or the address cannot be listened on.",
    )
    metrics.add_argument("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    metrics.add_argument("--port", type=int, default=9464, help="port; 0 takes a free one; default: 9464")
    way = metrics.add_mutually_exclusive_group()
    way.add_argument("--push", metavar="URL", help="push to this Pushgateway instead, such as http://gateway:9091")
    way.add_argument("--once", action="store_true", help="print the metrics and exit")
    metrics.add_argument("--interval", metavar="S", type=float, default=30.0, help="seconds between two pushes")
