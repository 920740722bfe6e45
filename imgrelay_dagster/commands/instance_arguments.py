"""The arguments of the commands that set up and serve a Dagster instance."""

import argparse


def add_instance_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands `init` and `dev`."""
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
