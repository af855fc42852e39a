"""Sends one request over HTTP/3 to a port of this machine, and prints the status of the answer.

usage: http3.py PORT HOST METHOD PATH PROBE

The method `CONNECT` asks for a WebSocket, as RFC 9220 has it, and sends bytes behind. Nobody's certificate is looked at.
"""

import asyncio
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

LIMIT = 30


class Client(QuicConnectionProtocol):
    """A connection with one request on it."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.http = H3Connection(self._quic)
        self.status = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        if isinstance(event, (StreamReset, ConnectionTerminated)):
            self.answer("reset")
        for came in self.http.handle_event(event):
            if isinstance(came, HeadersReceived):
                self.answer(dict(came.headers)[b":status"].decode())

    def answer(self, status):
        """The first one counts."""
        if not self.status.done():
            self.status.set_result(status)

    def ask(self, fields, body):
        """Sends header fields, and a body that does not end."""
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, fields, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=False)
        self.transmit()


async def main():
    port, host, method, path, probe = sys.argv[1:]
    tunnel = method == "CONNECT"
    fields = [(":method", method)]
    fields += [(":protocol", "websocket")] if tunnel else []
    fields += [(":scheme", "https"), (":authority", host), (":path", path), ("x-probe", probe)]
    fields += [("sec-websocket-version", "13")] if tunnel else []
    settings = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host, verify_mode=ssl.CERT_NONE)
    async with connect("127.0.0.1", int(port), configuration=settings, create_protocol=Client) as client:
        client.ask([(name.encode(), value.encode()) for name, value in fields], b"hello" if tunnel else None)
        print(await client.status)


asyncio.run(asyncio.wait_for(main(), LIMIT))
