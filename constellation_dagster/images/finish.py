"""Runs inside of an image's build, on a folder that was just filled: `python finish.py FOLDER`.

What nobody needs to run a package goes: its own tests, a sixth of scikit-learn with scipy, and what
only compilers and type checkers read. A container cannot write bytecode, so all of it is made
here. Every file gets the same time, so that the same packages give the same layer; and the folder
moves to the same place below /finished, since copying gives the folder that is copied itself the
time of the copy.
"""

import compileall
import os
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

# 2024-01-01, the time that the files of a build context have too.
EPOCH = 1_704_067_200

FINISHED = "/finished"
NOT_RUN = (".pyx", ".pxd", ".pyi", ".tp")


def remove_what_is_not_run(folder: str) -> None:
    """Removes tests, with their data, and sources of what is compiled already.

    Helpers of tests stay, since some packages import theirs.
    """
    for path in list(Path(folder).rglob("*")):
        if path.suffix in NOT_RUN and path.is_file():
            path.unlink()
    for path in list(Path(folder).rglob("tests")):
        shutil.rmtree(path / "data", ignore_errors=True)
        for test in [*path.rglob("test_*.py"), *path.rglob("conftest.py")]:
            test.unlink()


def finish(folder: str) -> None:
    """Compiles all modules in a folder, moves it and sets all times."""
    remove_what_is_not_run(folder)
    # Bytecode that is valid whatever time its source has.
    compileall.compile_dir(
        folder, quiet=2, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    target = Path(f"{FINISHED}{folder}")
    target.parent.mkdir(parents=True)
    shutil.move(folder, target)
    for parent, folders, files in os.walk(FINISHED, topdown=False):
        for name in (*files, *folders):
            os.utime(Path(parent, name), (EPOCH, EPOCH), follow_symlinks=False)


if __name__ == "__main__":
    finish(sys.argv[1])
