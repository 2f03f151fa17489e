// Asking the REST API again and again, each path by itself; not while nobody looks.

const PATIENCE_MS = 8000;
let isLeaving = false; // signing out: what is asked after it would be refused

document.addEventListener("submit", () => {
  isLeaving = true;
});

export async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  if (answer.status === 401) {
    location.reload(); // the cookie has expired, or its key is gone: the server shows the form
    throw new Error("signed out");
  }
  const body = await answer.json();
  // Readiness says what is away with a 503, in the same words.
  if (!answer.ok && !body.dependencies) throw new Error(body.error ?? `status ${answer.status}`);
  return body;
}

export class Feed {
  constructor(path, every_ms, show, failed) {
    Object.assign(this, { path, every_ms, show, failed });
    this.timer = null;
    this.isAsking = false;
    document.addEventListener("visibilitychange", () => this.wake());
    this.wake();
  }

  wake() {
    clearTimeout(this.timer);
    if (!document.hidden && !this.isAsking) this.turn();
  }

  async turn() {
    if (isLeaving) return;
    this.isAsking = true;
    try {
      const body = await ask(this.path);
      this.show(body);
    } catch (error) {
      this.failed(this.path, error);
    } finally {
      this.isAsking = false;
    }
    if (!document.hidden) this.timer = setTimeout(() => this.turn(), this.every_ms);
  }
}
