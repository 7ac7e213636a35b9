// An alarm that fails once.

import { DurableObject } from "cloudflare:workers";

export class Job extends DurableObject {
  async start() { await this.ctx.storage.setAlarm(Date.now()); }
  async alarm({ retryCount }) {
    if (retryCount === 0) throw new TypeError("the alarm broke");
  }
}
export default { fetch() { return new Response("up"); } };
