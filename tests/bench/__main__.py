"""`python -m tests.bench [NAME ...]`: all benches, or those that are named."""

import argparse
from importlib import import_module

BENCHES = ("compiler", "definitions", "demo", "reaction", "turns")

parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
parser.add_argument("names", nargs="*", choices=[[], *BENCHES], metavar=f"{{{','.join(BENCHES)}}}")
for name in parser.parse_args().names or BENCHES:
    import_module(f"tests.bench.{name}").main()
