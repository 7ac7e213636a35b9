// The worker of benchmarks/runtime.py on the real runtime: the same loops as its class Loops.

import { DurableObject } from "cloudflare:workers";

export class Loops extends DurableObject {
  async fetch(request) {
    const { loop, count } = await request.json();
    const start = performance.now();
    await this[loop](count);
    return Response.json(performance.now() - start);
  }

  async pairs(count) {
    for (let i = 0; i < count; i++) {
      await this.ctx.storage.put("key", i);
      await this.ctx.storage.get("key");
    }
  }

  inserts(count) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS rows(k, v)");
    for (let i = 0; i < count; i++) sql.exec("INSERT INTO rows VALUES (?, ?)", i, "value");
    sql.exec("DELETE FROM rows");
  }

  async calls(count) {
    const other = this.env.LOOPS.getByName("other");
    for (let i = 0; i < count; i++) await other.echo(i);
  }

  echo(value) {
    return value;
  }

  ping() {}

  async start(count) {
    this.left = count;
    await this.ctx.storage.setAlarm(Date.now() + 1);
  }

  async alarm() {
    this.left -= 1;
    if (this.left > 0) await this.ctx.storage.setAlarm(Date.now() + 1);
    else this.done?.();
  }

  async finished() {
    if (this.left > 0) await new Promise((resolve) => (this.done = resolve));
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/ping") {
      await env.LOOPS.getByName("main").ping();
      return new Response("ok");
    }
    if (pathname === "/alarms") {
      const { objects, count } = await request.json();
      const stubs = Array.from({ length: objects }, (_, i) => env.LOOPS.getByName(`alarm ${i}`));
      const start = performance.now();
      await Promise.all(stubs.map((stub) => stub.start(count)));
      await Promise.all(stubs.map((stub) => stub.finished()));
      return Response.json(performance.now() - start);
    }
    return env.LOOPS.getByName("main").fetch(request);
  },
};
