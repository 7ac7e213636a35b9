"""The same worker as calls.mjs: it makes calls, and says what came of each."""

import asyncio
from urllib.parse import urlsplit

import js
from workers import DurableObject, Response, WorkerEntrypoint, fetch

from emulator.errors import JsException


def told(error):
    cause = error.properties.get("cause")
    return {
        "name": error.name,
        "message": error.message,
        "flags": [flag for flag in ("retryable", "overloaded") if getattr(error, flag)],
        "cause": None if cause is None else cause.message,
    }


class Calls:
    def __init__(self, env):
        self.env = env

    async def head(self, key):
        found = await self.env.BUCKET.head(key)
        return found and found.size

    async def get(self, key):
        found = await self.env.BUCKET.get(key)
        return found and await found.text()

    async def put(self, key, text):
        return (await self.env.BUCKET.put(key, text)).size

    async def delete(self, keys):
        await self.env.BUCKET.delete(keys)

    async def list(self, prefix):
        listed = await self.env.BUCKET.list(prefix=prefix)
        return [[found.key, found.size] for found in listed.objects]

    async def upload(self, key, text):
        upload = await self.env.BUCKET.createMultipartUpload(key)
        part = await upload.uploadPart(1, text)
        upload = self.env.BUCKET.resumeMultipartUpload(key, upload.uploadId)
        return (await upload.complete([part])).size

    async def first(self, sql):
        return await self.env.DB.prepare(sql).first()

    async def all(self, sql):
        return (await self.env.DB.prepare(sql).all()).results

    async def run(self, sql):
        return (await self.env.DB.prepare(sql).run()).success

    async def raw(self, sql):
        return await self.env.DB.prepare(sql).raw()

    async def batch(self, sqls):
        made = await self.env.DB.batch([self.env.DB.prepare(sql) for sql in sqls])
        return [result.results for result in made]

    async def exec(self, sql):
        return (await self.env.DB.exec(sql)).count

    async def bound(self, *values):
        statement = self.env.DB.withSession().prepare("SELECT ?1 AS a, ?2 AS b").bind(*values)
        return (await statement.all()).results

    async def ordered(self):
        ends = []

        async def ended(call):
            ends.append(await call)

        calls = [self.env.DB.prepare(f"SELECT {v} AS v").first("v") for v in (1, 2)]
        await asyncio.gather(*map(ended, calls))
        return ends

    async def auth(self, url):
        response = await self.env.AUTH.fetch(url)
        return [response.status, await response.text()]

    async def outside(self, url):
        response = await fetch(url)
        return [response.status, await response.text()]

    async def visit(self, name, url):
        response = await self.env.JOBS.getByName(name).fetch(url)
        return [response.status, await response.text()]

    async def object(self, name, calls):
        return await self.env.JOBS.getByName(name).make(calls)

    async def stored(self, name):
        return await self.env.JOBS.getByName(name).stored()


async def made(env, calls):
    outcomes = []
    for name, *args in calls:
        try:
            outcomes.append({"ok": await getattr(Calls(env), name)(*args)})
        except JsException as error:
            outcomes.append({"error": told(error)})
    return outcomes


class Job(DurableObject):
    async def make(self, calls):
        storage = self.ctx.storage
        await storage.put("begun", (await storage.get("begun") or 0) + 1)
        outcomes = await made(self.env, calls)
        await storage.put("ended", (await storage.get("ended") or 0) + 1)
        return outcomes

    async def stored(self):
        return await self.ctx.storage.list()

    async def fetch(self, request):
        return Response(f"object {urlsplit(request.url).path}")

    async def wake(self, delay_ms):
        await self.ctx.storage.setAlarm(js.Date.now() + delay_ms)

    async def alarm(self):
        await self.ctx.storage.put("alarms", (await self.ctx.storage.get("alarms") or 0) + 1)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(await made(self.env, await request.json()))

    async def scheduled(self, controller, env, ctx):
        await self.env.BUCKET.put("cron", controller.cron)
