# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The command ``tessera``."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point; says how to get what the command line needs when it is missing."""
    try:
        from tessera.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print(
            f"the command line needs {error.name}; install it with: pip install 'tessera[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    app()
