"""Passes every request on to http://$TARGET_HOST; with $GATEWAY_HOST it connects there and names the target by Host.

With $CA_CERT (PEM) it goes by https to a target whose certificate that has signed.

What the target says comes back, status and all; 502 when nobody answers.
"""

import http.client
import os
import ssl

from examples import httpd

TARGET = os.environ.get("TARGET_HOST", "")
GATEWAY = os.environ.get("GATEWAY_HOST", "") or TARGET
AUTHORITY = os.environ.get("CA_CERT", "")
TIMEOUT_S = 60.0


def answer(request: httpd.Request) -> httpd.Reply:
    """Ask the target and tell its answer."""
    target = request.path + (f"?{request.query}" if request.query else "")
    connection = _connection()
    try:
        connection.request(request.method, target, request.body, {"Host": TARGET})
        reply = connection.getresponse()
        return httpd.Reply(reply.status, reply.read(), reply.getheader("content-type") or "text/plain")
    except (OSError, http.client.HTTPException) as error:
        return httpd.Reply(502, f"{GATEWAY}: {error}\n".encode())
    finally:
        connection.close()


def _connection() -> http.client.HTTPConnection:
    if not AUTHORITY:
        return http.client.HTTPConnection(GATEWAY, timeout=TIMEOUT_S)
    return http.client.HTTPSConnection(TARGET, timeout=TIMEOUT_S, context=ssl.create_default_context(cadata=AUTHORITY))


if __name__ == "__main__":
    httpd.Server(answer).run()
