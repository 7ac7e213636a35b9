// The same worker as calls.py: it makes calls, and says what came of each.

import { DurableObject } from "cloudflare:workers";

const FLAGS = ["retryable", "overloaded"];

function told(error) {
  const flags = FLAGS.filter((flag) => error[flag] === true);
  return { name: error.name, message: error.message, flags, cause: error.cause?.message ?? null };
}

const CALLS = {
  head: async (env, key) => (await env.BUCKET.head(key))?.size ?? null,
  get: async (env, key) => (await (await env.BUCKET.get(key))?.text()) ?? null,
  async put(env, key, text) { return (await env.BUCKET.put(key, text)).size; },
  async delete(env, keys) { await env.BUCKET.delete(keys); },
  list: async (env, prefix) => (await env.BUCKET.list({ prefix })).objects.map(({ key, size }) => [key, size]),
  async upload(env, key, text) {
    const upload = await env.BUCKET.createMultipartUpload(key);
    const part = await upload.uploadPart(1, text);
    return (await env.BUCKET.resumeMultipartUpload(key, upload.uploadId).complete([part])).size;
  },
  first: (env, sql) => env.DB.prepare(sql).first(),
  all: async (env, sql) => (await env.DB.prepare(sql).all()).results,
  run: async (env, sql) => (await env.DB.prepare(sql).run()).success,
  raw: (env, sql) => env.DB.prepare(sql).raw(),
  batch: async (env, sqls) => (await env.DB.batch(sqls.map((sql) => env.DB.prepare(sql)))).map(({ results }) => results),
  exec: async (env, sql) => (await env.DB.exec(sql)).count,
  async bound(env, ...values) { return (await env.DB.withSession().prepare("SELECT ?1 AS a, ?2 AS b").bind(...values).all()).results; },
  async ordered(env) {
    const ends = [];
    const calls = ["SELECT 1 AS v", "SELECT 2 AS v"].map((sql) => env.DB.prepare(sql).first("v").then((value) => ends.push(value)));
    await Promise.all(calls);
    return ends;
  },
  async auth(env, url) { const response = await env.AUTH.fetch(url); return [response.status, await response.text()]; },
  async outside(env, url) { const response = await fetch(url); return [response.status, await response.text()]; },
  async visit(env, name, url) { const response = await env.JOBS.getByName(name).fetch(url); return [response.status, await response.text()]; },
  object: (env, name, calls) => env.JOBS.getByName(name).make(calls),
  stored: (env, name) => env.JOBS.getByName(name).stored(),
};

async function made(env, calls) {
  const outcomes = [];
  for (const [name, ...args] of calls) {
    try { outcomes.push({ ok: (await CALLS[name](env, ...args)) ?? null }); } catch (error) { outcomes.push({ error: told(error) }); }
  }
  return outcomes;
}

export class Job extends DurableObject {
  async make(calls) {
    await this.ctx.storage.put("begun", ((await this.ctx.storage.get("begun")) ?? 0) + 1);
    const outcomes = await made(this.env, calls);
    await this.ctx.storage.put("ended", ((await this.ctx.storage.get("ended")) ?? 0) + 1);
    return outcomes;
  }
  async stored() { return Object.fromEntries(await this.ctx.storage.list()); }
  async fetch(request) { return new Response(`object ${new URL(request.url).pathname}`); }
  async wake(delayMs) { await this.ctx.storage.setAlarm(Date.now() + delayMs); }
  async alarm() { await this.ctx.storage.put("alarms", ((await this.ctx.storage.get("alarms")) ?? 0) + 1); }
}

export default {
  async fetch(request, env) { return Response.json(await made(env, await request.json())); },
  async scheduled(controller, env) { await env.BUCKET.put("cron", controller.cron); },
};
