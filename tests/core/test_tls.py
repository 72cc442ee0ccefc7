"""Two processes that know each other's certificates speak; nobody else gets a word in."""

import socket
import ssl
import threading

from lepton.core.tls import Identity


def exchanged(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as connection:
                heard.append(connection.recv(100))
                connection.sendall(b"answer")
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours) as connection:
            connection.sendall(b"question")
            return b"".join([*heard, connection.recv(100)])
    finally:
        ours.close()
        thread.join()


def test_who_knows_the_others_certificate_is_spoken_to() -> None:
    here, there = Identity.new(), Identity.new()
    assert exchanged(there.server(here.certificate), here.client(there.certificate)).endswith(b"answer")


def is_refused(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    try:
        return exchanged(server, client) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_stranger_is_refused_by_both_ends() -> None:
    here, there, stranger = Identity.new(), Identity.new(), Identity.new()
    assert is_refused(there.server(here.certificate), stranger.client(there.certificate))
    assert is_refused(stranger.server(here.certificate), here.client(there.certificate))


def test_who_shows_no_certificate_is_refused() -> None:
    here, there = Identity.new(), Identity.new()
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.load_verify_locations(cadata=there.certificate)
    assert is_refused(there.server(here.certificate), anonymous)


def test_the_key_is_in_no_representation() -> None:
    assert "PRIVATE" not in repr(Identity.new())
