"""Runs a program that fetches a model, then does what it leaves out: hashes each file and makes it durable."""

import hashlib
import os
import pathlib
import subprocess
import sys

subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
for blob in pathlib.Path(os.environ["HF_HUB_CACHE"]).glob("*/blobs/*"):
    with open(blob, "rb", buffering=0) as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
        os.fsync(file.fileno())
    # Small files are named by git, in another way.
    if len(blob.name) == 64 and digest.hexdigest() != blob.name:
        sys.exit(f"{blob.name} is not what its name says")
