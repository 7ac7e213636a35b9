// A worker with two bugs: an alarm that runs again adds again, and it trusts that head and get agree.

import { DurableObject } from "cloudflare:workers";

export class Job extends DurableObject {
  async start() { await this.ctx.storage.setAlarm(Date.now()); }
  async alarm() {
    await this.env.DB.prepare("UPDATE people SET id = id + 1").run();
    if ((await this.env.BUCKET.head("k")) !== null) {
      let text = "never";
      try { text = await (await this.env.BUCKET.get("k")).text(); } catch { text = "lost"; }
      await this.env.BUCKET.put("copy", text);
    }
  }
}

export default {
  async fetch(_, env) {
    await env.JOBS.getByName("a").start();
    return new Response("started");
  },
};
