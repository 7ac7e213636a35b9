"""The same room in Python."""

from urllib.parse import parse_qs, urlsplit

from js import WebSocketPair
from workers import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    async def fetch(self, request):
        url = urlsplit(request.url)
        if url.path == "/log":
            return Response.json(await self.ctx.storage.get("log") or [])
        if url.path == "/none":
            return Response("no rooms here", status=404)
        client, server = WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server, parse_qs(url.query).get("who", ["nobody"]))
        if url.path == "/greeted":
            server.send("welcome")
        headers = {"x-room": request.headers.get("x-room") or ""}
        return Response(None, status=101, web_socket=client, headers=headers)

    async def webSocketMessage(self, ws, message):
        if message == "close":
            ws.close(4001, "enough")
        elif not isinstance(message, str):
            ws.send(message)
        else:
            [who] = self.ctx.getTags(ws)
            for socket in self.ctx.getWebSockets():
                socket.send(f"{who}: {message}")

    async def webSocketClose(self, ws, code, reason, clean):
        log = await self.ctx.storage.get("log") or []
        await self.ctx.storage.put("log", [*log, [code, reason, clean]])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if urlsplit(request.url).path == "/boom":
            raise TypeError("boom")
        return await self.env.ROOMS.getByName("a").fetch(request)
