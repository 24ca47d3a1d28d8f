"""How long it takes to import all that `pantile.load("x.onnx")` needs: at most 0.4 s.

    python benchmarks/runtime_import.py [--rounds 10]

The least of several fresh processes, whose files are in memory after the first; CPU time, which is the wall time of a
machine with nothing else to do. Beside it what numpy, Pillow and ONNX Runtime take of it.
"""

import argparse
import os
import subprocess
import sys

from claims import Claims

CODE = """
import time
start = time.process_time()
import numpy, PIL.Image, onnxruntime
packages = time.process_time() - start
import pantile.predict.exported, pantile.runtime.onnx_file
print(packages, time.process_time() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    rounds = []
    for _ in range(args.rounds):
        ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        rounds.append(tuple(map(float, ran.stdout.split())))
    packages, seconds = min(rounds, key=lambda pair: pair[1])
    print(f"{packages:.3f} s of them numpy, Pillow and ONNX Runtime; load average {os.getloadavg()[0]:.1f}")
    claims = Claims()
    claims.at_most("seconds to import the runtime", seconds, 0.4)
    claims.finish()


if __name__ == "__main__":
    main()
