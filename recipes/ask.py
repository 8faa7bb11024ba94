"""Start the server of an exported language model, ask it for one text, and stop it.

python recipes/ask.py exported "ROMEO:"
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from urllib.request import ProxyHandler, Request, build_opener


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", help="run folder or runtime folder")
    parser.add_argument("prompt")
    parser.add_argument("--length", type=int, default=60, help="units of text")
    options = parser.parse_args()
    command = [sys.executable, "-m", "seriatim", "serve", options.folder, "--port", "0", "--durability", "memory"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if " at " not in line:
            raise SystemExit("the server did not start")
        address = line.split(" at ")[1].split()[0]
        body = {"prompt": options.prompt, "max_tokens": options.length, "seed": 0, "temperature": 0.8}
        request = Request(f"{address}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=60) as response:
            answer = json.load(response)
    finally:
        server.terminate()
        server.communicate(timeout=60)
    print(f"POST {address}/v1/completions {json.dumps(body)}")
    print(f"{answer['usage']['completion_tokens']} units: {options.prompt}{answer['choices'][0]['text']}")


if __name__ == "__main__":
    main()
