// What both TypeScript programs share: the settings, and the lines of a stream. Each prints JSON for test_generated.py.
export const edge = process.env.EDGE_URL!;
export const slug = process.env.SLUG!;
export const password = process.env.PASSWORD!;
export const email = "ada@people.example";
export const meter = "api_requests";

export function bearer(credential: string) {
  return { authorization: `Bearer ${credential}` };
}

export const operator = bearer(process.env.OPERATOR_KEY!);

// Returns the value, or ends the program.
export function must<T>(value: T | undefined | null, what?: unknown): T {
  if (value === undefined || value === null) throw new Error(JSON.stringify(what));
  return value;
}

// Reads a stream of JSON lines, which has no end, until a message is found.
export async function find<Message>(
  stream: ReadableStream<Uint8Array>,
  wanted: (message: Message) => boolean,
): Promise<Message> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  for (let buffered = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the stream ended");
    buffered += decoder.decode(value, { stream: true });
    const lines = buffered.split("\n");
    buffered = lines.pop()!;
    const found = lines.map((line) => JSON.parse(line) as Message).find(wanted);
    if (found) {
      await reader.cancel();
      return found;
    }
  }
}
