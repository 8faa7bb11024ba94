"""Live sessions over HTTP and WebSocket, with durable state. Not built yet."""
