"""Random schemas and values against an independent judge, for as long as one likes.

    python tests/fuzz_schemas.py --pairs 20000

Runs the random tests of `test_schema_fuzz` again and again, with other examples each time, until so many pairs of
a schema and a value have been compared, and says what the verdicts were. A difference ends it with an error that
shows the smallest pair found.
"""

from __future__ import annotations

import argparse
import time

from hypothesis import settings

settings.register_profile("round", max_examples=500, deadline=None, database=None)
settings.load_profile("round")

# Its tests take the profile that is loaded when they are defined.
import test_schema_fuzz as fuzz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=20_000, help="pairs to compare")
    arguments = parser.parse_args()
    started = time.perf_counter()
    while fuzz.COMPARED.total() < arguments.pairs:
        fuzz.test_schemas_of_the_fast_way()
        fuzz.test_schemas_of_all_keywords()
        verdicts = ", ".join(f"{count:,} {name}" for name, count in fuzz.COMPARED.items())
        seconds = time.perf_counter() - started
        print(f"{fuzz.COMPARED.total():,} pairs ({verdicts}), {seconds:.0f} s", flush=True)
    print("no difference")


if __name__ == "__main__":
    main()
