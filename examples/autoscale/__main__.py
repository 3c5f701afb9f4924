"""Sleep, compute or allocate by query parameters: `python -m examples.autoscale`.

`?sleep=100` waits so many milliseconds, `?prime=20000` finds the largest prime up to it, `?bloat=5` holds so many MiB
while the request lasts. Parameters combine; sleeping comes last, so that memory is held for that long.
"""

import time

from examples import httpd

SLEEP_LIMIT_MS = 600_000
PRIME_LIMIT = 50_000_000
BLOAT_LIMIT_MIB = 1_000


def answer(request: httpd.Request) -> httpd.Reply:
    """Do what the query asks for and tell how long it took."""
    try:
        wanted = parse_query(request.query)
    except ValueError as error:
        return httpd.Reply(400, f"{error}\n".encode())
    started = time.perf_counter()
    lines = []
    block = bytearray(wanted["bloat"] << 20)  # bytearray(n) writes every page, so the memory is really used
    if wanted["bloat"]:
        lines.append(f"Allocated {len(block) >> 20} MiB of memory.")
    if wanted["prime"]:
        lines.append(f"The largest prime up to {wanted['prime']} is {largest_prime(wanted['prime'])}.")
    if wanted["sleep"]:
        time.sleep(wanted["sleep"] / 1000)
        lines.append(f"Slept for {wanted['sleep']} ms.")
    lines.append(f"Took {(time.perf_counter() - started) * 1000:.1f} ms.")
    return httpd.Reply(200, ("\n".join(lines) + "\n").encode())


def parse_query(query: str) -> dict[str, int]:
    """Return the three parameters; raises ValueError that names the wrong one."""
    limits = {"sleep": SLEEP_LIMIT_MS, "prime": PRIME_LIMIT, "bloat": BLOAT_LIMIT_MIB}
    wanted = dict.fromkeys(limits, 0)
    for part in query.split("&"):
        name, _, text = part.partition("=")
        if name in limits:
            if not text.isdigit() or int(text) > limits[name]:
                raise ValueError(f"{name}: write a whole number between 0 and {limits[name]}, not {text!r}")
            wanted[name] = int(text)
    return wanted


def largest_prime(limit: int) -> int:
    """Return the largest prime up to `limit` by the sieve of Eratosthenes; 0 when there is none."""
    is_prime = bytearray([1]) * (limit + 1)
    is_prime[: min(2, limit + 1)] = bytes(min(2, limit + 1))
    for number in range(2, int(limit**0.5) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, limit + 1, number)))
    return max(is_prime.rfind(1), 0)


if __name__ == "__main__":
    httpd.Server(answer).run()
