"""Serves an exported model over HTTP and WebSocket, with sessions whose state survives a crash.

    seriatim serve exported

``docs/serve.md`` describes the interface, and what survives which fault.
"""
