"""Runs a program and prints how long it took, in seconds, and the most memory it had, in bytes."""

import json
import resource
import subprocess
import sys
import time

start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
if sys.platform != "darwin":
    peak *= 1024
if done.returncode != 0:
    sys.exit(done.returncode)
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
