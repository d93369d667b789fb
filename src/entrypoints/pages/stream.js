/** Reads what a job's stream carries: server-sent events, and text that comes in pieces. */

/** More than any event can have; a stream that goes on without a line end is broken. */
const MAX_LINE = 8_000_000;

/** One named partial output, put together from pieces that say at which UTF-8 byte they begin. */
export class OutputText {
  #name;
  #bytes = 0;
  attempt = 0;
  text = '';

  constructor(name) {
    this.#name = name;
  }

  /** Takes a piece if it fits; returns whether the text changed. */
  add({ name, attempt, offset, text }) {
    const fits = attempt === this.attempt && offset === this.#bytes;
    if (name !== this.#name || attempt < this.attempt || !(fits || offset === 0)) return false;
    if (offset === 0) this.reset(attempt);
    this.text += text;
    this.#bytes += new TextEncoder().encode(text).length;
    return true;
  }

  /** Forgets what an earlier attempt wrote. */
  reset(attempt) {
    Object.assign(this, { attempt, text: '' });
    this.#bytes = 0;
  }
}

/** Yields `{type, data, id}` from a byte stream of server-sent events; `onBytes` hears every sign of life. */
export async function* readEvents(body, onBytes = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onBytes();
    yield* parser.push(value);
  }
}

/** The parser of the HTML standard's event stream format; text may be cut anywhere. */
export class EventParser {
  #rest = '';
  #id = '';
  #type = '';
  #data = [];

  push(text) {
    const lines = this.#lines(this.#rest + text);
    return lines.map((line) => this.#read(line)).filter(Boolean);
  }

  #lines(text) {
    // A CR at the very end may be the first half of a CRLF.
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + text.slice(end);
    if (this.#rest.length > MAX_LINE) throw new Error('The event stream has a line without end.');
    return lines;
  }

  #read(line) {
    if (line === '') return this.#dispatch();
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return null;
  }

  #dispatch() {
    const event = { type: this.#type || 'message', data: this.#data.join('\n'), id: this.#id };
    const empty = this.#data.length === 0;
    this.#type = '';
    this.#data = [];
    return empty ? null : event;
  }
}
