// Two classes of objects with an ancestor that is one, too.

import { DurableObject } from "cloudflare:workers";

export class Elder extends DurableObject {
  async look() { return (await this.env.BUCKET.head("k")) === null; }
  async wake() { await this.ctx.storage.setAlarm(Date.now()); }
  async alarm() { await this.ctx.storage.put("alarms", ((await this.ctx.storage.get("alarms")) ?? 0) + 1); }
  async alarms() { return await this.ctx.storage.get("alarms"); }
}

export class Younger extends Elder {
  async alarm() { await super.alarm(); await this.ctx.storage.put("younger", true); }
}

export class Sibling extends Elder {}

export default { fetch: () => new Response("") };
