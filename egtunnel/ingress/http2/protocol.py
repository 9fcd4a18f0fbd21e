"""The h2 library's connection, with the limits and the patience that a public server needs."""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs
from h2.connection import H2Connection as Base
from h2.errors import ErrorCodes
from h2.events import Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame, SettingsFrame

from egtunnel.ingress.http2.calm import Calm
from egtunnel.ingress.http2.limits import H2Limits

__all__ = ["CANCEL", "ENHANCE_YOUR_CALM", "NO_ERROR", "PROTOCOL_ERROR", "REFUSED_STREAM", "ServerProtocol", "goaway"]

NO_ERROR = int(ErrorCodes.NO_ERROR)
PROTOCOL_ERROR = int(ErrorCodes.PROTOCOL_ERROR)
REFUSED_STREAM = int(ErrorCodes.REFUSED_STREAM)
CANCEL = int(ErrorCodes.CANCEL)
ENHANCE_YOUR_CALM = int(ErrorCodes.ENHANCE_YOUR_CALM)
KNOWN_SETTINGS = frozenset(int(code) for code in SettingCodes)
LARGEST_TABLE = 4_096
"""Bytes of the table in which the fields of our responses are remembered, however many the visitor would remember."""
LONGEST_FRAME = 16_384 + 9
"""The largest frame we allow and its header, bytes; the library would wait for all of a longer one."""


def goaway(last_stream: int, code: int) -> bytes:
    """A GOAWAY frame; the library's own would let nothing follow it, not even what streams still have to send."""
    frame = GoAwayFrame(0, last_stream_id=last_stream, error_code=code)
    return frame.serialize()


class TooManyResets(ProtocolError):
    """More streams were reset than is borne."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM


def _ignore(headers: Any) -> None:
    pass


class ServerProtocol(Base):
    """HTTP/2 on the server's side (RFC 9113), bytes in and events out.

    Headers come as they were sent: what a request may say is judged for each stream (``requests.read_fields``), not by
    ending the connection. RST_STREAM frames of both sides are counted as they come, not when a whole read is through:
    one read can hold thousands of requests with their ends.
    """

    MAX_CLOSED_STREAMS = 1_000

    def __init__(self, limits: H2Limits, calm: Calm) -> None:
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        super().__init__(config)
        self._calm = calm
        self._receiving = False
        self._limits = limits
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
                SettingCodes.INITIAL_WINDOW_SIZE: limits.window,
                SettingCodes.MAX_HEADER_LIST_SIZE: limits.header_list,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
                SettingCodes.MAX_FRAME_SIZE: 16_384,
            },
        )
        self.decoder.max_header_list_size = limits.header_list

    def begin(self) -> None:
        """Say our settings; what is to be sent waits in ``data_to_send``."""
        self.initiate_connection()
        self.increment_flow_control_window(self._limits.connection_window - 65_535)

    @property
    def open_inbound_streams(self) -> int:
        """None, to the library: a stream too many is refused by us (RFC 9113 section 5.1.2), it ends no connection."""
        super().open_inbound_streams  # noqa: B018 - it also forgets closed streams
        return 0

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        """Content-Length is judged by us: the library would end the connection for one request's mistake."""
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        stream._initialize_content_length = _ignore  # type: ignore[method-assign]
        return stream

    def receive_data(self, data: Any) -> list[Event]:
        """What ``data`` brings. Raises ProtocolError, with a GOAWAY ready to be sent."""
        self._receiving = True
        try:
            events = super().receive_data(data)
        finally:
            self._receiving = False
        if len(self.incoming_buffer._data) > LONGEST_FRAME:
            self._terminate_connection(ErrorCodes.FRAME_SIZE_ERROR)
            raise ProtocolError("a frame that is too long")
        held = self.incoming_buffer._headers_buffer
        if held and sum(len(frame.data) for frame in held) > self._limits.header_block:
            self._terminate_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            raise ProtocolError("a header block that is too long")
        return events

    def _prepare_for_sending(self, frames: list[Frame]) -> None:
        for frame in frames:
            if type(frame) is RstStreamFrame:
                self._count_reset()
        super()._prepare_for_sending(frames)

    def _receive_settings_frame(self, frame: SettingsFrame) -> tuple[list[Frame], list[Event]]:
        """The library keeps every setting it is told, and believes each size of the table of headers."""
        frame.settings = {key: value for key, value in frame.settings.items() if key in KNOWN_SETTINGS}
        table = frame.settings.get(SettingCodes.HEADER_TABLE_SIZE)
        if table is not None:
            frame.settings[SettingCodes.HEADER_TABLE_SIZE] = min(table, LARGEST_TABLE)
        return super()._receive_settings_frame(frame)

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        self._count_reset()
        return super()._receive_rst_stream_frame(frame)

    def _count_reset(self) -> None:
        self._calm.reset()
        if self._receiving and self._calm.lost:
            raise TooManyResets

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        if frame.error_code == NO_ERROR:
            return [], []  # it opens no more streams; those there are go on (RFC 9113 section 6.8)
        return super()._receive_goaway_frame(frame)
