"""Fetches a model with huggingface_hub; the server and the cache are in the environment."""

import sys

from huggingface_hub import snapshot_download

snapshot_download(sys.argv[1])
