"""Listens to nobody and ends with code 5, after ten seconds or as many as the first argument says."""

import sys
import time

EXIT_CODE = 5

if __name__ == "__main__":
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
    print("it went wrong, as it was asked to", file=sys.stderr, flush=True)
    sys.exit(EXIT_CODE)
