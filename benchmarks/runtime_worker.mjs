// The worker of benchmarks/runtime.py on the real runtime: the same loops as its class Loops.

import { DurableObject } from "cloudflare:workers";

export class Loops extends DurableObject {
  async fetch(request) {
    const { loop, count } = await request.json();
    await this[loop](count);
    return new Response("done");
  }

  async pairs(count) {
    for (let i = 0; i < count; i++) {
      await this.ctx.storage.put("key", i);
      await this.ctx.storage.get("key");
    }
  }

  inserts(count) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS written(k, v)");
    for (let i = 0; i < count; i++) sql.exec("INSERT INTO written VALUES (?, ?)", i, "value");
    sql.exec("DELETE FROM written");
  }

  lookups(count) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS kept(k INTEGER PRIMARY KEY, v)");
    sql.exec("INSERT OR IGNORE INTO kept VALUES (1, 'value')");
    for (let i = 0; i < count; i++) sql.exec("SELECT v FROM kept WHERE k = ?", 1).one();
  }

  rows(count) {
    const counting = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n LIMIT ?)";
    const cursor = this.ctx.storage.sql.exec(`${counting} SELECT k, 'value' AS v FROM n`, count);
    let seen = 0;
    for (const row of cursor) seen += row.k > 0;
    if (seen !== count) throw new Error(`${seen} rows`);
  }

  async calls(count) {
    const other = this.env.LOOPS.getByName("other");
    for (let i = 0; i < count; i++) await other.echo(i);
  }

  async callbacks(count) {
    await this.env.LOOPS.getByName("other").callBack((value) => value, count);
  }

  async callBack(call, count) {
    for (let i = 0; i < count; i++) await call(i);
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
      await Promise.all(stubs.map((stub) => stub.start(count)));
      await Promise.all(stubs.map((stub) => stub.finished()));
      return new Response("done");
    }
    return env.LOOPS.getByName("main").fetch(request);
  },
};
