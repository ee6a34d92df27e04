"""Another user of the machine cannot give the workers of a run a task."""

import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from curate.engine import execute
from curate.engine.store import Store

NOBODY = 65534
ASK = """
import os, socket, sys, encodings.idna
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[3]))
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as stream:
    stream.sendall(bytes(64))
    try:
        print(stream.recv(64))
    except ConnectionError:
        print(b"")
"""


@pytest.fixture(scope="module")
def cluster():
    """The Dask cluster of a run."""
    with execute.cluster(1, None) as submit:
        assert list(submit([], Store("nowhere"), set())) == []
        yield submit.__self__.cluster


@pytest.fixture
def place(cluster):
    """Host and port of the scheduler."""
    scheme, _, address = cluster.scheduler_address.partition("://")
    assert scheme == "tls"
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("page", ["status", "info/main/workers.html", "json/identity.json", "metrics", "health"])
def test_the_scheduler_shows_no_pages(cluster, page):
    port = cluster.scheduler.http_server.port
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=30)


def test_a_scheduler_does_not_answer_who_has_no_key_of_the_run(place):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answer = b""
    with socket.create_connection(place, timeout=30) as plain:
        try:
            with context.wrap_socket(plain) as stream:
                stream.sendall(b"hello")
                answer = stream.recv(1)
        except (ssl.SSLError, ConnectionError):
            pass
    assert answer == b""


def test_it_listens_on_this_machine_alone_and_no_one_else_gets_an_answer(place):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    assert place[0] == "127.0.0.1"
    command = [sys.executable, "-c", ASK, place[0], str(place[1]), str(NOBODY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = done.stdout.strip()
    assert answer == "b''" or answer.startswith("b'\\x15"), answer  # nothing, or the alert that ends a handshake
