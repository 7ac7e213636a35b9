// A room that tells everybody who is in it what is said, and hibernates meanwhile.
import { DurableObject } from "cloudflare:workers";

export class Room extends DurableObject {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/log") return Response.json((await this.ctx.storage.get("log")) ?? []);
    if (url.pathname === "/none") return new Response("no rooms here", { status: 404 });
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server, [url.searchParams.get("who") ?? "nobody"]);
    if (url.pathname === "/greeted") server.send("welcome");
    const headers = { "x-room": request.headers.get("x-room") ?? "" };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  async webSocketMessage(ws, message) {
    if (message === "close") return ws.close(4001, "enough");
    if (typeof message !== "string") return ws.send(message);
    const [who] = this.ctx.getTags(ws);
    for (const socket of this.ctx.getWebSockets()) socket.send(`${who}: ${message}`);
  }

  async webSocketClose(ws, code, reason, wasClean) {
    const log = (await this.ctx.storage.get("log")) ?? [];
    await this.ctx.storage.put("log", [...log, [code, reason, wasClean]]);
  }
}

export default {
  fetch(request, env) {
    if (new URL(request.url).pathname === "/boom") throw new TypeError("boom");
    return env.ROOMS.getByName("a").fetch(request);
  },
};
