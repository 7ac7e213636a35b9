// TypeScript, a neighbour, a package from npm, and SQL as text: what esbuild puts together.

import { DurableObject } from "cloudflare:workers";
import { unzlibSync, zlibSync } from "fflate";
import { prefix } from "./neighbour";
import schema from "./schema.sql";

export class Job extends DurableObject {}

export default {
  async fetch(request: Request): Promise<Response> {
    const packed: Uint8Array = zlibSync(new Uint8Array(await request.arrayBuffer()));
    return new Response(prefix + new TextDecoder().decode(unzlibSync(packed)) + schema.length);
  },
};
