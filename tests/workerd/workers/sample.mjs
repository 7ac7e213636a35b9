// The same worker as sample.py, in the platform's own language.

import { DurableObject } from "cloudflare:workers";

export class Job extends DurableObject {
  async start(delayMs) {
    await this.ctx.storage.put("alarms", 0);
    await this.ctx.storage.setAlarm(Date.now() + delayMs);
  }
  async alarm() {
    const count = (await this.ctx.storage.get("alarms")) + 1;
    await this.ctx.storage.put("alarms", count);
    console.log(`alarm ${count}`);
    if (count < 3) await this.ctx.storage.setAlarm(Date.now() + 100);
  }
  async alarms() { return await this.ctx.storage.get("alarms"); }
  async echo(value) { return value; }
  async ownId() { return this.ctx.id.toString(); }
  async ownName() { return this.ctx.id.name; }
  async fail() { throw new TypeError("no such job"); }
  async failOwn() { throw Object.assign(new Error("mine"), { name: "MyError", code: 7 }); }
  async abort() { this.ctx.abort("enough"); }
  async fetch(request) {
    if (request.url.endsWith("/unread")) return new Response("unread");
    return new Response(`object ${request.method} ${await request.text()}`, { status: 201, headers: { "x-own": "é" } });
  }
}

const ROUTES = {
  async "/told"(request) {
    const { method, url, headers } = request;
    return Response.json({ method, url, own: headers.get("x-own"), length: headers.get("content-length"), body: await request.text() });
  },
  "/redirect": () => Response.redirect("https://elsewhere.example/", 302),
  "/cookies": () => new Response(null, { status: 204, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]] }),
  "/fail"() { throw new RangeError("out of range"); },
  "/log"() { console.log("plain", 1); console.warn("careful"); console.error("bad"); return new Response("logged"); },
  "/variable": (_, env) => new Response(env.VARIABLE),
  async "/database"(_, env) { return new Response(await env.DB.prepare("SELECT name FROM people").first("name")); },
  async "/bucket"(_, env) { return new Response((await env.BUCKET.get("k")).body); },
  "/service": (_, env) => env.AUTH.fetch("https://auth/validate?x=1", { method: "POST", body: "who", headers: { authorization: "Bearer u1" } }),
  async "/caught"(_, env) {
    try { return await env.AUTH.fetch("https://auth/fail"); } catch (error) { return new Response(`caught ${error.message}`); }
  },
  "/outside": () => fetch("https://elsewhere.example/page"),
  "/echo": (request) => new Response(request.body),
};

export default {
  fetch(request, env) { return ROUTES[new URL(request.url).pathname](request, env); },
  async scheduled(controller) {
    console.log(`cron ${controller.cron} ${controller.scheduledTime}`);
    if (controller.cron === "fail") throw new Error("cron failed");
  },
};
