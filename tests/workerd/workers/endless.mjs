// A body that never ends.

import { DurableObject } from "cloudflare:workers";

export class Job extends DurableObject {
  async fetch() {
    const { readable, writable } = new IdentityTransformStream();
    this.ctx.waitUntil(tick(writable.getWriter()));
    return new Response(readable);
  }
}

async function tick(writer) {
  try {
    for (;;) {
      await writer.write(new TextEncoder().encode("tick"));
      await scheduler.wait(5);
    }
  } catch {
    // The reader has gone.
  }
}

export default { fetch: (request, env) => env.JOBS.getByName("a").fetch(request) };
