// A worker that looks closely at its bindings; each answer is true where they are untouched.

import { DurableObject, env as imported, RpcTarget, WorkerEntrypoint } from "cloudflare:workers";

const { head } = imported.BUCKET;

class Child extends RpcTarget {
  name() { return "child"; }
}

export class Job extends DurableObject {
  #own = "own";
  get own() { return this.#own; }
  child() { return new Child(); }
  sum(a, b) { return this.added(a, b) * 2; }
  added(a, b) { return a + b; }
}

async function thrown(call) {
  try { await call(); return ""; } catch (error) { return `${error.name}: ${error.message}`; }
}

export default class extends WorkerEntrypoint {
  async fetch() {
    const { BUCKET, DB, JOBS } = this.env;
    const answers = {};
    await BUCKET.put("k", "0123456789", { httpMetadata: { contentType: "x/y" } });
    answers.aBucketIsOfItsClass = BUCKET.constructor.name === "R2Bucket" && BUCKET instanceof BUCKET.constructor;
    answers.aKeptMethodIsCalledOnItsBucket = (await head.call(BUCKET, "k")).size === 10;
    const object = await BUCKET.get("k");
    answers.metadataIsWritten = this.written(object) === "x/y";
    let length = 0;
    for await (const chunk of object.body) length += chunk.length;
    answers.aBodyIsIterated = length === 10 && object.bodyUsed;
    answers.aBodyIsPutAgain = (await BUCKET.put("copy", (await BUCKET.get("k")).body)).size === 10;
    answers.aRangeIsRead = (await (await BUCKET.get("k", { range: { offset: 2, length: 3 } })).text()) === "234";
    answers.aWrongCallSaysWhatIsWrong =
      (await thrown(() => BUCKET.head())).startsWith("TypeError: Failed to execute 'head'") &&
      (await thrown(() => BUCKET.head.call({}, "k"))).startsWith("TypeError: Illegal invocation");
    const upload = await BUCKET.createMultipartUpload("m");
    answers.anUploadIsOfItsClass = upload.constructor.name === "R2MultipartUpload" && upload.key === "m";
    const session = DB.withSession("first-primary");
    await session.prepare("SELECT 1").run();
    answers.aSessionHasABookmark = typeof session.getBookmark() === "string";
    answers.theImportedEnvIsTheSame = imported.BUCKET === BUCKET;
    const stub = JOBS.getByName("x");
    answers.aStubKnowsWhoItIs = stub.name === "x" && stub.id.equals(JOBS.idFromName("x"));
    answers.aPropertyOfAStubIsRead = (await stub.own) === "own";
    answers.callsArePipelined = (await stub.child().name()) === "child";
    answers.aMethodCallsAnotherOfItsObject = (await stub.sum(1, 2)) === 6;
    return Response.json(answers);
  }
  written(object) {
    const headers = new Headers();
    object.writeHttpMetadata(headers);
    return headers.get("content-type");
  }
}
