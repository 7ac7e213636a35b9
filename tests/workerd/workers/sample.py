"""The same worker as sample.mjs, in Python."""

# ruff: noqa: T201  # Workers print.

import logging
from urllib.parse import urlsplit

import js
from workers import DurableObject, Response, WorkerEntrypoint, fetch

from emulator.errors import js_error


class Job(DurableObject):
    async def start(self, delay_ms):
        await self.ctx.storage.put("alarms", 0)
        await self.ctx.storage.setAlarm(js.Date.now() + delay_ms)

    async def alarm(self):
        count = await self.ctx.storage.get("alarms") + 1
        await self.ctx.storage.put("alarms", count)
        print(f"alarm {count}")
        if count < 3:
            await self.ctx.storage.setAlarm(js.Date.now() + 100)

    async def alarms(self):
        return await self.ctx.storage.get("alarms")

    async def echo(self, value):
        return value

    async def own_id(self):
        return self.ctx.id.toString()

    async def own_name(self):
        return self.ctx.id.name

    async def fail(self):
        raise js_error("TypeError", "no such job")

    async def fail_own(self):
        error = js_error("MyError", "mine")
        error.properties["code"] = 7
        raise error

    async def abort(self):
        self.ctx.abort("enough")

    async def fetch(self, request):
        if request.url.endswith("/unread"):
            return Response("unread")
        text = f"object {request.method} {await request.text()}"
        return Response(text, status=201, headers={"x-own": "é"})


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await getattr(self, urlsplit(request.url).path[1:])(request)

    async def told(self, request):
        told = {
            "method": request.method,
            "url": request.url,
            "own": request.headers.get("x-own"),
            "length": request.headers.get("content-length"),
            "body": await request.text(),
        }
        return Response.json(told)

    async def redirect(self, request):
        return Response.redirect("https://elsewhere.example/", 302)

    async def cookies(self, request):
        return Response(None, 204, headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])

    async def fail(self, request):
        raise js_error("RangeError", "out of range")

    async def log(self, request):
        print("plain", 1)
        logging.getLogger("sample").warning("careful")
        js.console.error("bad")
        return Response("logged")

    async def variable(self, request):
        return Response(self.env.VARIABLE)

    async def database(self, request):
        return Response(await self.env.DB.prepare("SELECT name FROM people").first("name"))

    async def bucket(self, request):
        return Response((await self.env.BUCKET.get("k")).body)

    async def service(self, request):
        headers = {"authorization": "Bearer u1"}
        url = "https://auth/validate?x=1"
        return await self.env.AUTH.fetch(url, method="POST", body="who", headers=headers)

    async def caught(self, request):
        try:
            return await self.env.AUTH.fetch("https://auth/fail")
        except Exception as error:
            return Response(f"caught {error.message}")

    async def outside(self, request):
        return await fetch("https://elsewhere.example/page")

    async def echo(self, request):
        return Response(request.body)

    async def scheduled(self, controller, env, ctx):
        print(f"cron {controller.cron} {controller.scheduledTime}")
        if controller.cron == "fail":
            raise js_error("Error", "cron failed")
