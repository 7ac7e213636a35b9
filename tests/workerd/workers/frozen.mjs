// A worker of an older form: a class without a base, and a handler that cannot be changed.

export class Job {
  constructor(state, env) {
    this.state = state;
    this.env = env;
  }
  async fetch() {
    return new Response(String(await this.env.BUCKET.head("k")));
  }
}

export default Object.freeze({
  async fetch(request, env) {
    const stub = env.JOBS.get(env.JOBS.idFromName("a"));
    try {
      return await stub.fetch("http://object/");
    } catch (error) {
      return new Response(error.message);
    }
  },
});
