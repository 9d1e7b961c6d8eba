"""Reading a preview address."""

import socket
import urllib.error
import urllib.parse
import urllib.request


def fetch(link, path):
    """What a preview answers. link has url and token."""
    status, body = visit(link.url.rstrip("/") + path, {"X-Daytona-Preview-Token": link.token})
    if status != 200:
        raise OSError(f"{link.url} answers {status}: {body[:200]}")
    return body


def visit(address, headers=()):
    """Status and body of what an address answers, also where the system does not know its name."""
    url = urllib.parse.urlsplit(address)
    headers = dict(headers, Host=url.netloc)
    try:
        socket.getaddrinfo(url.hostname, url.port or 80)
    except OSError:
        url = url._replace(netloc=f"127.0.0.1:{url.port or 80}")
    try:
        with urllib.request.urlopen(urllib.request.Request(url.geturl(), headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as err:
        return err.code, err.read()
