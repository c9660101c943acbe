"""Exits 0 when a known question finds its known document."""

import json
import os
import sys
import urllib.request

URL = f"http://127.0.0.1:{os.environ['SERVICE_PORT']}/search?q=refund+within+thirty+days&k=1"

try:
    with urllib.request.urlopen(URL, timeout=4) as answer:
        results = json.load(answer)["results"]
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"search does not answer: {error}")
if [result["id"] for result in results] != ["policy-refunds"]:
    sys.exit(f"expected policy-refunds, found {results}")
