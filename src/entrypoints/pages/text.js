/** Turns what the server says into what people read: answers as elements, instants and sizes as words. */

const INLINE = /(`[^`\n]+`|\*\*[^*\n]+\*\*|\[\d{1,2}\])/;
const KINDS = [
  ['ul', /^\s*[-*•]\s+/],
  ['ol', /^\s*\d+[.)]\s+/],
  ['heading', /^#{1,6}\s+/],
  ['table', /^\s*\|/],
];

/** Returns the little of Markdown that answers use; `[2]` becomes a mark if `cited(2)` says there is one. */
export function renderAnswer(text, cited = () => false) {
  const fragment = new DocumentFragment();
  const parts = text.replaceAll('\r\n', '\n').split(/^```.*\n?/m);
  parts.forEach((part, index) => {
    if (index % 2 === 1) fragment.append(block('pre', block('code', part.trimEnd())));
    else for (const run of runs(part)) fragment.append(renderRun(run, cited));
  });
  return fragment;
}

/** Groups lines that belong together: a paragraph, a list, a table. */
function runs(text) {
  const found = [];
  let open = null;
  for (const line of text.split('\n')) {
    const kind = line.trim() ? kindOf(line, open) : null;
    if (kind && kind === open?.kind && kind !== 'heading') open.lines.push(line);
    else if (kind) found.push((open = { kind, lines: [line] }));
    else open = null;
  }
  return found;
}

function kindOf(line, open) {
  const kind = KINDS.find(([, mark]) => mark.test(line))?.[0];
  const continues = /^\s+\S/.test(line) && (open?.kind === 'ul' || open?.kind === 'ol');
  return kind ?? (continues ? open.kind : 'p');
}

function renderRun({ kind, lines }, cited) {
  if (kind === 'table') return block('pre', lines.join('\n'));
  if (kind === 'heading') return block('p', block('strong', ...inline(lines[0].replace(/^#+\s+/, ''), cited)));
  if (kind === 'p') return block('p', ...inline(lines.join('\n'), cited));
  return block(kind, ...items(lines, kind).map((item) => block('li', ...inline(item, cited))));
}

function items(lines, kind) {
  const mark = KINDS.find(([name]) => name === kind)[1];
  const found = [];
  for (const line of lines) {
    if (mark.test(line) || found.length === 0) found.push(line.replace(mark, ''));
    else found.push(`${found.pop()} ${line.trim()}`);
  }
  return found;
}

function inline(text, cited) {
  return text.split(INLINE).filter(Boolean).map((piece) => renderPiece(piece, cited));
}

function renderPiece(piece, cited) {
  if (/^`[^`]+`$/.test(piece)) return block('code', piece.slice(1, -1));
  if (/^\*\*.+\*\*$/.test(piece)) return block('strong', piece.slice(2, -2));
  const number = /^\[(\d+)\]$/.exec(piece)?.[1];
  return number && cited(Number(number)) ? citation(number) : piece;
}

function citation(number) {
  const mark = block('button', number);
  mark.type = 'button';
  mark.className = 'cite';
  mark.dataset.source = number;
  mark.setAttribute('aria-label', `Fuente ${number}`);
  return mark;
}

function block(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

const relative = new Intl.RelativeTimeFormat('es', { numeric: 'auto' });
const STEPS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** Returns how long ago an instant was: «hace 3 minutos». */
export function ago(instant, now = Date.now()) {
  const seconds = (now - Date.parse(instant)) / 1000;
  const step = STEPS.find(([, size]) => seconds >= size);
  return step ? relative.format(-Math.floor(seconds / step[1]), step[0]) : 'ahora mismo';
}

/** Returns the time between two instants: «1,4 s», «3 min 5 s»; nothing when one is unknown. */
export function duration(from, to) {
  const seconds = Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  if (Number.isNaN(seconds)) return '';
  if (seconds < 60) return `${seconds.toLocaleString('es', { maximumFractionDigits: 1 })} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Returns a number with its noun: «1 documento», «3 documentos». */
export const count = (number, noun) => `${number.toLocaleString('es')} ${noun}${number === 1 ? '' : 's'}`;
