"""The h2 library's connection on the client's side, with the limits that a service of strangers needs."""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection as Base
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from egtunnel.ingress.http2.calm import Calm
from egtunnel.ingress.http2.upstream_limits import H2UpstreamLimits

__all__ = ["ClientProtocol", "NotHTTP2"]

CONNECTION_WINDOW = 1 << 30
"""One stream at a time: its own window is what holds it back."""
_KNOWN = frozenset(code.value for code in SettingCodes)


class NotHTTP2(ProtocolError):
    """The first bytes are no settings (RFC 9113 section 3.4); a server of HTTP/1 answers our preface with an error."""


class ClientProtocol(Base):
    """HTTP/2 on the client's side (RFC 9113), bytes in and events out; it takes no pushes.

    Headers come as they were sent: what a response may say is judged by ``upstream_fields``. ``greeted``: settings have
    come. Too many resets, and frames that carry nothing, end it. Streams go on after a GOAWAY.
    """

    MAX_CLOSED_STREAMS = 100

    def __init__(self, limits: H2UpstreamLimits, header_list: int, calm: Calm) -> None:
        config = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        super().__init__(config)
        self.greeted = False
        self._calm = calm
        self._first = b""
        self._going = False
        self._limits = limits
        self._uncredited = 0
        self.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: limits.window,
                SettingCodes.MAX_HEADER_LIST_SIZE: header_list,
                SettingCodes.MAX_FRAME_SIZE: 16_384,
            },
        )
        self.decoder.max_header_list_size = header_list

    def begin(self) -> None:
        """Say the preface and our settings; what is to be sent waits in ``data_to_send``."""
        self.initiate_connection()
        self.increment_flow_control_window(CONNECTION_WINDOW)

    def receive_data(self, data: Any) -> list[Event]:
        """What ``data`` brings. Raises ProtocolError, with a GOAWAY ready to be sent, and NotHTTP2."""
        if not self.greeted:
            self._first = (self._first + data)[:4]
            if len(self._first) == 4 and self._first[3] != SettingsFrame.type:
                raise NotHTTP2("the first frame is none of settings")
        events = super().receive_data(data)
        self._uncredited += sum(event.flow_controlled_length or 0 for event in events if type(event) is DataReceived)
        if self._uncredited >= CONNECTION_WINDOW // 2:
            credit, self._uncredited = self._uncredited, 0
            self.increment_flow_control_window(credit)
        buffer = self.incoming_buffer
        if len(self._first) == 4 and int.from_bytes(buffer._data[:3], "big") > self.max_inbound_frame_size:
            self._too_much(ErrorCodes.FRAME_SIZE_ERROR, "a frame that is too long")
        if buffer._headers_buffer and sum(len(f.data) for f in buffer._headers_buffer) > self._limits.header_block:
            self._too_much(ErrorCodes.ENHANCE_YOUR_CALM, "a header block that is too long")
        self._calm.note(events)
        if self._calm.lost:
            self._too_much(ErrorCodes.ENHANCE_YOUR_CALM, "too many frames that carry nothing")
        return events

    def is_open(self, number: int) -> bool:
        """Whether something may still be sent on this stream."""
        stream = self.streams.get(number)
        return stream is not None and not stream.closed

    @property
    def takes_more(self) -> bool:
        """Whether another stream may be opened once there is none."""
        spent = self.highest_outbound_stream_id // 2 + 1 >= self._limits.lifetime
        return not self._going and not spent and self.remote_settings.max_concurrent_streams > 0

    def _too_much(self, code: ErrorCodes, text: str) -> None:
        self._terminate_connection(code)
        raise ProtocolError(text)

    def _prepare_for_sending(self, frames: list[Frame]) -> None:
        for frame in frames:
            if type(frame) is RstStreamFrame:
                self._calm.reset()
        super()._prepare_for_sending(frames)

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        """A server begins no streams but by pushing."""
        if not frame.stream_id % 2:
            raise ProtocolError("a stream that nobody asked for")
        return super()._receive_headers_frame(frame)

    def _receive_settings_frame(self, frame: SettingsFrame) -> tuple[list[Frame], list[Event]]:
        """The library keeps whatever it is told, and makes its table of sent headers as large as it may."""
        settings = {code: value for code, value in frame.settings.items() if code in _KNOWN}
        table = settings.get(SettingCodes.HEADER_TABLE_SIZE)
        if table is not None:
            settings[SettingCodes.HEADER_TABLE_SIZE] = min(table, self._limits.header_table)
        frame.settings = settings
        self.greeted = True
        return super()._receive_settings_frame(frame)

    def _receive_rst_stream_frame(self, frame: RstStreamFrame) -> tuple[list[Frame], list[Event]]:
        self._calm.reset()
        return super()._receive_rst_stream_frame(frame)

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        self._going = True
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]
