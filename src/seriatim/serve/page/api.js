// Requests to the server. The key, if the server asks for one, is sent as a header and kept in this tab.

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, { status, code: error.code, expected: error.expected });
  }
}

export const hasKey = () => sessionStorage.getItem("seriatim-key") !== null;

export function setKey(key) {
  sessionStorage.setItem("seriatim-key", key);
}

export async function ask(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const key = sessionStorage.getItem("seriatim-key");
  if (key) headers.Authorization = `Bearer ${key}`;
  const content = body === undefined ? undefined : JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, { method, headers, body: content, keepalive: method === "DELETE" }); // sent while the page closes, too
  } catch {
    throw new Error("The server does not answer.");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok || answer === null) throw new Refused(response.status, answer?.error ?? { message: `The server answered with status ${response.status}.` });
  return answer;
}

// A session whose steps are numbered. A step that got no answer is sent again and is taken once.
export class Session {
  static async create(fields = {}) {
    const session = new Session();
    session.id = (await ask("POST", "/v1/sessions", fields)).session;
    session.seq = 0;
    return session;
  }

  async step(x, options = {}) {
    const body = { seq: this.seq + 1, x, ...options };
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await ask("POST", `/v1/sessions/${this.id}/steps`, body);
        this.seq += 1;
        return answer;
      } catch (error) {
        if ((error instanceof Refused && error.status !== 503) || attempt === 5) throw error;
        await new Promise((done) => setTimeout(done, 100 * 2 ** attempt));
      }
    }
  }

  close() {
    return ask("DELETE", `/v1/sessions/${this.id}`).catch(() => null);
  }
}
