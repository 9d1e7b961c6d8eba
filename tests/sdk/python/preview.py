"""Reading a preview address."""

import socket
import urllib.parse
import urllib.request


def fetch(link, path):
    """What a preview answers, also where the system does not know its name. link has url and token."""
    url = urllib.parse.urlsplit(link.url.rstrip("/") + path)
    address = url
    try:
        socket.getaddrinfo(url.hostname, url.port or 80)
    except OSError:
        address = url._replace(netloc=f"127.0.0.1:{url.port or 80}")
    headers = {"Host": url.netloc, "X-Daytona-Preview-Token": link.token}
    return urllib.request.urlopen(urllib.request.Request(address.geturl(), headers=headers), timeout=20).read()
