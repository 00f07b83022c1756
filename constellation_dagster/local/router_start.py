"""Becomes the router: Caddy with the routes that it had when it ended, or with none.

    python router_start.py CADDY CONFIGURATION

Caddy saves its configuration at each change, but not in one step: a kill in between leaves half a file, with which it
would not start again.
"""

import json
import os
import sys
from pathlib import Path


def main(binary: str, configuration: str) -> None:
    """Take the place of this process."""
    saved = Path(os.environ["XDG_CONFIG_HOME"], "caddy", "autosave.json")
    try:
        json.loads(saved.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        saved.unlink()
    os.execv(binary, [binary, "run", "--resume", "--config", configuration])  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
